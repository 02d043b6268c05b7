package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// tag names the key of a struct's field.
const tag = "koanf"

// mistakes collects what is wrong with a configuration.
type mistakes []error

// add notes one mistake. path is the key's.
func (m *mistakes) add(path, format string, args ...any) {
	*m = append(*m, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// join notes the mistakes that err joins.
func (m *mistakes) join(err error) {
	if err != nil {
		*m = append(*m, err)
	}
}

// decode fills the struct that target points to from a section of the configuration that stands at path. The error
// joins every mistake: keys that the struct does not have, and values of another type.
func decode(path string, section map[string]any, target any) error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:     target,
		TagName:    tag,
		DecodeHook: mapstructure.DecodeHookFuncValue(convert),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var mistakes mistakes
	for _, e := range leaves(decoder.Decode(section)) {
		var at *mapstructure.DecodeError
		if errors.As(e, &at) {
			mistakes.add(join(path, at.Name()), "%s", describe(at.Unwrap()))
		} else {
			mistakes.add(path, "%v", e)
		}
	}
	refuseUnknown(path, section, reflect.TypeOf(target).Elem(), &mistakes)
	return errors.Join(mistakes...)
}

// refuseUnknown notes the keys of a section, and of the sections in it, that struct t has no field for. The decoder
// can do so too, but not where it finds another mistake in the same section.
func refuseUnknown(path string, section map[string]any, t reflect.Type, m *mistakes) {
	fields := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	for _, key := range sortedKeys(section) {
		field, known := fields[key]
		inner, nested := section[key].(map[string]any)
		switch {
		case !known:
			m.add(join(path, key), "unknown key")
		case nested && field.Kind() == reflect.Struct:
			refuseUnknown(join(path, key), inner, field, m)
		}
	}
}

// join appends a key to the path of its section.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	var joined interface{ Unwrap() []error }
	if err == nil {
		return nil
	}
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}

// describe says what a value should have been, without showing it.
func describe(err error) string {
	var kind *mapstructure.UnconvertibleTypeError
	if !errors.As(err, &kind) {
		return err.Error()
	}
	if kind.Expected.Kind() == reflect.Bool {
		return "expected true or false"
	}
	return "expected a number"
}

// convert prepares a value for its target: text from the environment by the target's type, durations and sizes by
// their own notation. What YAML would convert silently is refused: a number where text or a duration is expected.
func convert(from, to reflect.Value) (any, error) {
	if text, ok := from.Interface().(envText); ok {
		return convertText(string(text), to.Type())
	}
	isText := from.Kind() == reflect.String
	switch {
	case to.Kind() == reflect.Slice && from.Kind() != reflect.Slice:
		return nil, errors.New("expected a list")
	case (to.Kind() == reflect.Struct || to.Kind() == reflect.Map) && from.Kind() != reflect.Map:
		return nil, errors.New("expected a section of keys")
	case to.Type() == reflect.TypeFor[time.Duration]():
		if !isText {
			return nil, errors.New(`expected a duration with its unit, as "10s"`)
		}
		return parseDuration(from.String())
	case to.Type() == reflect.TypeFor[Bytes]() && isText:
		return parseBytes(from.String())
	case to.Kind() == reflect.String && !isText:
		return nil, errors.New("expected text, in quotes where it looks like a number")
	}
	return from.Interface(), nil
}

func convertText(text string, to reflect.Type) (any, error) {
	if to == reflect.TypeFor[time.Duration]() {
		return parseDuration(text)
	}
	if to == reflect.TypeFor[Bytes]() {
		return parseBytes(text)
	}
	switch to.Kind() {
	case reflect.Slice:
		var list []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, errors.New("expected true or false")
		}
		return b, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, errors.New("expected a whole number")
		}
		return n, nil
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, errors.New("expected a number")
		}
		return n, nil
	default:
		return text, nil
	}
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(`expected a duration with its unit, as "10s"`)
	}
	return d, nil
}
