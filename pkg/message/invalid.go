package message

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Invalid is the error of [Parse]: the record can never become a push. It names fields of the contract and positions,
// never anything else that the record says.
type Invalid struct {
	Reason  push.Reason // ReasonInvalidMessage or ReasonTooManyRecipients
	Field   string      // as MsgBody[0].MsgContent.Text; "" = the record as a whole
	Problem string
}

func (e *Invalid) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Reason, e.Problem)
	}
	return fmt.Sprintf("%s: %s: %s", e.Reason, e.Field, e.Problem)
}

func invalid(field, problem string) *Invalid {
	return &Invalid{Reason: push.ReasonInvalidMessage, Field: field, Problem: problem}
}

// unreadable turns a decoder's error into an [Invalid] whose field stands under parent. A path of a semantic error
// consists of names from our own struct tags and of indexes; the path of a syntax error may hold any name that the
// record invents, so there the position must do.
func unreadable(err error, parent string) *Invalid {
	if known, ok := errors.AsType[*Invalid](err); ok {
		return known
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		what := "not JSON"
		if errors.Is(err, jsontext.ErrDuplicateName) {
			what = "a name stands twice in one object"
		}
		return invalid(parent, fmt.Sprintf("%s at byte %d", what, syntax.ByteOffset))
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return invalid(parent, "not JSON")
	}
	field := fieldPath(parent, semantic.JSONPointer)
	if own, ok := errors.AsType[problem](err); ok {
		return invalid(field, string(own))
	}
	return invalid(field, wanted(semantic.GoType))
}

// problem is the error of a type of this package that reads itself; the decoder adds the path.
type problem string

func (p problem) Error() string { return string(p) }

// fieldPath writes a JSON pointer the way the contract names fields: /MsgBody/0/MsgType is MsgBody[0].MsgType.
func fieldPath(parent string, pointer jsontext.Pointer) string {
	var path strings.Builder
	path.WriteString(parent)
	for name := range pointer.Tokens() {
		switch {
		case name[0] >= '0' && name[0] <= '9':
			path.WriteString("[" + name + "]")
			continue
		case path.Len() > 0:
			path.WriteByte('.')
		}
		path.WriteString(name)
	}
	return path.String()
}

func wanted(t reflect.Type) string {
	if t == nil {
		return "has the wrong type"
	}
	switch t.Kind() {
	case reflect.String:
		return "not a string"
	case reflect.Slice:
		return "not an array"
	default:
		return "not an object"
	}
}
