package message

import (
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// vendor is what AndroidInfo says to vendors that are not served here: one JSON object, names and values byte for byte as
// the record has them; "" = nothing.
type vendor struct {
	whole string

	once     sync.Once
	discreet string // without what may tell the content
}

// withoutContent keeps the members that only sort a push. Of any other nobody here can tell: vendors also have fields for
// images and for parts of the text.
func (v *vendor) withoutContent() string {
	if v.whole != "" {
		v.once.Do(func() { v.discreet = sortingMembers(v.whole) })
	}
	return v.discreet
}

// sortingMembers returns an object with those members alone that sort a push; "" where there is none.
func sortingMembers(object string) string {
	dec := jsontext.NewDecoder(strings.NewReader(object))
	kept := []byte{'{'}
	if _, err := dec.ReadToken(); err != nil {
		return ""
	}
	for dec.PeekKind() == '"' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return ""
		}
		before := len(kept)
		if before > 1 {
			kept = append(kept, ',')
		}
		kept = append(append(kept, quoted...), ':')
		name, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return ""
		}
		value, err := dec.ReadValue()
		if err != nil {
			return ""
		}
		if !sortsPush(string(name)) {
			kept = kept[:before]
			continue
		}
		kept = append(kept, value...)
	}
	if len(kept) == 1 {
		return ""
	}
	return string(append(kept, '}'))
}

// sortsPush names the members that choose a channel, a category or an importance.
func sortsPush(name string) bool {
	switch name {
	case "HuaWeiChannelID", "XiaoMiChannelID", "OPPOChannelID", "VIVOClassification", "HuaWeiImportance", "HuaWeiCategory",
		"ExtAsHuaweiIntentParam", "VIVOCategory", "OPPOCategory", "HonorImportance", "MeiZuNoticeMsgType":
		return true
	}
	return false
}
