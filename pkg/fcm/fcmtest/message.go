package fcmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The API's limits.
const (
	maxMessageBytes = 4096 // of the message object without its target
	maxTTL          = 4 * 7 * 24 * time.Hour
)

// request is a send request that was understood.
type request struct {
	message      []byte // without the token
	targets      int    // of token, topic, condition
	token        string
	topic        string // or the condition
	validateOnly bool
	notification bool   // it has one, so it is collapsible
	collapseKey  string // of android
	tag          string // of android's notification
}

// collapse is what replaces an earlier message: a notification goes by its tag and ignores the key.
func (r *request) collapse() string {
	switch {
	case r.tag != "":
		return "tag " + r.tag
	case r.collapseKey != "" && !r.notification:
		return "key " + r.collapseKey
	}
	return ""
}

// violation is what the API finds wrong.
type violation struct {
	field   string // as message.android.ttl; "" = the request as a whole
	problem string
	// meaning = FCM itself refuses what the request means, with an FcmError. Otherwise the request does not fit the
	// schema, and FCM never sees it.
	meaning bool
}

// reader walks a request along the schema.
type reader struct {
	decoder *jsontext.Decoder
	body    []byte
	request *request
}

// parse reads a send request as strictly as the API. What was understood before a violation is returned with it.
func (s *Simulator) parse(body []byte) (*request, *violation) {
	r := &reader{decoder: jsontext.NewDecoder(bytes.NewBuffer(body)), body: body, request: new(request)}
	if wrong := r.object("", s.schema); wrong != nil {
		return r.request, wrong
	}
	if _, err := r.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return r.request, &violation{problem: "Invalid JSON payload received. Parsing terminated before end of input."}
	}
	switch {
	case r.request.message == nil:
		return r.request, &violation{field: "message", problem: "Request must contain a message.", meaning: true}
	case r.request.targets != 1:
		return r.request, &violation{field: "message", problem: "Exactly one of token, topic or condition is required.", meaning: true}
	case len(r.request.message) > maxMessageBytes:
		return r.request, &violation{field: "message", problem: "Message is too big.", meaning: true}
	}
	return r.request, nil
}

// object reads an object. The message object is copied on the way, without its token.
func (r *reader) object(path string, schema field) *violation {
	if err := r.begin(path, '{', "an object"); err != nil {
		return err
	}
	var kept []byte
	for r.decoder.PeekKind() != '}' {
		name, err := r.name(path)
		if err != nil {
			return err
		}
		child, known := schema.fields[camelCase(name)]
		if !known {
			return &violation{field: path, problem: fmt.Sprintf(
				"Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, path)}
		}
		start := r.decoder.InputOffset()
		if err := r.value(join(path, name), child); err != nil {
			return err
		}
		if path == "message" && name != "token" {
			value := bytes.TrimLeft(r.body[start:r.decoder.InputOffset()], ": \t\r\n")
			kept = append(kept, ',')
			kept, _ = jsontext.AppendQuote(kept, name) // the decoder has checked it
			kept = append(append(kept, ':'), value...)
		}
	}
	if path == "message" {
		r.request.message = append(append([]byte{'{'}, bytes.TrimPrefix(kept, []byte{','})...), '}')
	}
	return r.end()
}

func (r *reader) value(path string, f field) *violation {
	switch f.kind {
	case kindObject:
		r.request.notification = r.request.notification || path == "message.notification" || path == "message.android.notification"
		return r.object(path, f)
	case kindStrings:
		return r.strings(path)
	case kindData:
		return r.data(path)
	case kindAnyObject:
		if r.decoder.PeekKind() != '{' {
			return invalid(path, "an object")
		}
		return r.skip()
	case kindAny:
		return r.skip()
	case kindBool:
		value := r.decoder.PeekKind()
		if value != 't' && value != 'f' {
			return invalid(path, "TYPE_BOOL")
		}
		r.request.validateOnly = r.request.validateOnly || camelCase(path) == "validateOnly" && value == 't'
		return r.skip()
	case kindInt:
		token, err := r.token(path, '0', "TYPE_INT32")
		if err == nil && !whole.MatchString(token) {
			err = invalid(path, "TYPE_INT32")
		}
		return err
	default:
		return r.text(path, f.kind)
	}
}

var (
	whole    = regexp.MustCompile(`^-?\d{1,9}$`)
	duration = regexp.MustCompile(`^\d{1,10}(\.\d{1,9})?s$`)
)

func (r *reader) text(path string, k kind) *violation {
	text, err := r.token(path, '"', "TYPE_STRING")
	if err != nil {
		return err
	}
	switch k {
	case kindTTL:
		d, err := time.ParseDuration(text)
		if !duration.MatchString(text) || err != nil {
			return &violation{field: path, problem: fmt.Sprintf(
				"Invalid value at '%s' (type.googleapis.com/google.protobuf.Duration)", path)}
		}
		if d > maxTTL {
			return &violation{field: path, problem: "Invalid ttl: it must be between 0 and four weeks.", meaning: true}
		}
	case kindPriority:
		if p := strings.ToLower(text); p != "normal" && p != "high" {
			return &violation{field: path, problem: fmt.Sprintf("Invalid value at '%s': normal or high", path)}
		}
	}
	switch path {
	case "message.token":
		r.request.token = text
		r.request.targets++
	case "message.topic", "message.condition":
		r.request.topic = text
		r.request.targets++
	case "message.android.collapseKey", "message.android.collapse_key":
		r.request.collapseKey = text
	case "message.android.notification.tag":
		r.request.tag = text
	}
	return nil
}

func (r *reader) strings(path string) *violation {
	if err := r.begin(path, '[', "an array"); err != nil {
		return err
	}
	for r.decoder.PeekKind() != ']' {
		if _, err := r.token(path, '"', "TYPE_STRING"); err != nil {
			return err
		}
	}
	return r.end()
}

func (r *reader) data(path string) *violation {
	if err := r.begin(path, '{', "an object"); err != nil {
		return err
	}
	for r.decoder.PeekKind() != '}' {
		key, err := r.name(path)
		if err != nil {
			return err
		}
		if reserved(key) {
			return &violation{field: path, problem: "Invalid data payload key: " + key, meaning: true}
		}
		if _, err := r.token(path+"["+key+"]", '"', "TYPE_STRING"); err != nil {
			return err
		}
	}
	return r.end()
}

// reserved says whether FCM keeps a data key for itself.
func reserved(key string) bool {
	return key == "from" || key == "message_type" || strings.HasPrefix(key, "google.") ||
		strings.HasPrefix(key, "gcm.notification.")
}

func (r *reader) begin(path string, want jsontext.Kind, name string) *violation {
	_, err := r.token(path, want, name)
	return err
}

func (r *reader) end() *violation {
	_, err := r.decoder.ReadToken()
	return syntax(err)
}

func (r *reader) name(path string) (string, *violation) { return r.token(path, '"', "a name") }

// token reads one token of a kind and returns its text.
func (r *reader) token(path string, want jsontext.Kind, name string) (string, *violation) {
	if got := r.decoder.PeekKind(); got != want && got != 0 {
		return "", invalid(path, name)
	}
	token, err := r.decoder.ReadToken()
	if err != nil {
		return "", syntax(err)
	}
	return token.String(), nil
}

func (r *reader) skip() *violation { return syntax(r.decoder.SkipValue()) }

func syntax(err error) *violation {
	if err == nil {
		return nil
	}
	return &violation{problem: "Invalid JSON payload received. It is not JSON."}
}

func invalid(path, want string) *violation {
	return &violation{field: path, problem: fmt.Sprintf("Invalid value at '%s' (%s)", path, want)}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// camelCase is a field's name without underscores, as the schema has it.
func camelCase(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
		case upper:
			b.WriteString(strings.ToUpper(string(c)))
			upper = false
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
