package message

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// mentions is GroupAtInfo, of which only the accounts are kept.
type mentions struct {
	everybody bool
	accounts  []string

	current mention // reused
}

type mention struct {
	All     integer `json:"GroupAtAllFlag"`
	Account string  `json:"GroupAt_Account"`
}

// UnmarshalJSONFrom reads an array of mentions, or null.
func (m *mentions) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return readArray(dec, func() error {
		m.current = mention{}
		if err := json.UnmarshalDecode(dec, &m.current); err != nil {
			return err
		}
		switch {
		case m.current.All.value == 1:
			m.everybody = true
		case m.current.Account != "":
			m.accounts = append(m.accounts, m.current.Account)
		}
		return nil
	})
}

// Mentions says whether the message, in a group, mentions the user or everybody.
func (m *Message) Mentions(user string) bool {
	if m.mentionsAll {
		return true
	}
	_, found := slices.BinarySearch(m.mentioned, user)
	return found
}

// IgnoresOption says whether the sender overrides the recipient's receive option for the conversation, as a one-to-one
// message without WithMuteNotifications does. In a group the option always counts.
func (m *Message) IgnoresOption() bool { return m.ignoresOption }
