package message_test

import "testing"

// Apply mentions: GroupAtInfo names accounts, or everybody, in a group.
func TestRow18Mentions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who, mentions    string
		bob, carol, dave bool
	}{
		"nobody":                        {team, ``, false, false, false},
		"null":                          {team, `null`, false, false, false},
		"no entry":                      {team, `[]`, false, false, false},
		"bob":                           {team, `[{"GroupAtAllFlag":0,"GroupAt_Account":"bob"}]`, true, false, false},
		"without the flag":              {team, `[{"GroupAt_Account":"bob"}]`, true, false, false},
		"several, in any order":         {team, `[{"GroupAt_Account":"dave"},{"GroupAt_Account":"bob"},{"GroupAt_Account":"bob"}]`, true, false, true},
		"everybody":                     {team, `[{"GroupAtAllFlag":1}]`, true, true, true},
		"everybody and bob":             {team, `[{"GroupAt_Account":"bob"},{"GroupAtAllFlag":1}]`, true, true, true},
		"everybody, an account beside":  {team, `[{"GroupAtAllFlag":1,"GroupAt_Account":"bob"}]`, true, true, true},
		"another flag is not everybody": {team, `[{"GroupAtAllFlag":2,"GroupAt_Account":"bob"}]`, true, false, false},
		"an empty account is none":      {team, `[{"GroupAtAllFlag":0,"GroupAt_Account":""}]`, false, false, false},
		"an entry is not the next one":  {team, `[{"GroupAt_Account":"bob"},{}]`, true, false, false},
		"an entry that is null":         {team, `[null,{"GroupAt_Account":"bob"}]`, true, false, false},
		"unknown members":               {team, `[{"GroupAt_Account":"bob","New":[1]}]`, true, false, false},
		"one-to-one mentions nobody":    {alice, `[{"GroupAtAllFlag":1},{"GroupAt_Account":"bob"}]`, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := row{who: c.who, body: hello}
			if c.mentions != "" {
				r.more = `"GroupAtInfo":` + c.mentions
			}
			m := parse(t, r.record())
			for user, want := range map[string]bool{"bob": c.bob, "carol": c.carol, "dave": c.dave, "": c.carol} {
				if m.Mentions(user) != want {
					t.Errorf("mentions %q: %v", user, !want)
				}
			}
		})
	}
}

// WithMuteNotifications honors the receiver's mute; without it a one-to-one message ignores it. In a group the receive
// option always counts. The option is that for the sender's conversation, or the group's.
func TestRow18ReceiveOption(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who, control, conversation string
		ignored                    bool
	}{
		"one-to-one":                            {alice, ``, "c2c:alice", true},
		"one-to-one, null":                      {alice, `null`, "c2c:alice", true},
		"one-to-one with another control":       {alice, `["NoUnread"]`, "c2c:alice", true},
		"one-to-one with WithMuteNotifications": {alice, `["NoUnread","WithMuteNotifications"]`, "c2c:alice", false},
		"group":                                 {team, ``, "group:team", false},
		"group with WithMuteNotifications":      {team, `["WithMuteNotifications"]`, "group:team", false},
	} {
		r := row{who: c.who, body: hello}
		if c.control != "" {
			r.more = `"SendMsgControl":` + c.control
		}
		m := parse(t, r.record())
		if m.IgnoresOption() != c.ignored || m.Conversation() != c.conversation {
			t.Errorf("%s: ignored %v, conversation %s", name, m.IgnoresOption(), m.Conversation())
		}
	}
}
