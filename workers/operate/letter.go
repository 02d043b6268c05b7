package operate

import (
	"encoding/json"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// letter reads a record of the dead topic as far as it can be read.
func (t deadTopic) letter(r *stream.Record) Letter {
	l := Letter{Position: Position{r.Topic, r.Partition, r.Offset}, Time: r.Time, Platform: t.platform, record: r}
	switch {
	case t.platform != "":
		l.readWork()
	case t.origin == t.names.Fanout():
		l.meta, _ = stream.ParseMeta(r.Headers)
		if f, err := stream.DecodeFanout(r.Value); err == nil {
			first := f.Chat.Origin()
			if _, origin, ok := f.Chat.SentBack(); ok {
				first = origin
			}
			l.readMessage(f.Chat, first)
		}
	default:
		l.meta, _ = stream.ParseMeta(r.Headers)
		l.readEvent(r.Value)
		if t.origin == t.names.Messages() {
			l.readMessage(r, l.meta.Origin)
		}
	}
	l.Reason, l.Answer, l.Origin = l.meta.Reason, l.meta.Answer, l.meta.Origin
	return l
}

func (l *Letter) readWork() {
	l.notification, l.meta, _ = stream.DecodeWork(l.record)
	if n := l.notification; n != nil {
		l.App, l.User, l.Device, l.MsgKey, l.Credential = n.App, n.User, n.Device, n.MsgKey, n.Credential
	}
	l.Lane, l.ID, l.Attempts = l.meta.Lane, l.meta.ID, l.meta.Attempt
}

// readEvent takes what device events, receipts and memberships say of themselves.
func (l *Letter) readEvent(value []byte) {
	var ids struct{ App, User, Device, Credential, MsgKey string }
	if json.Unmarshal(value, &ids) == nil {
		l.App, l.User, l.Device, l.Credential, l.MsgKey = ids.App, ids.User, ids.Device, ids.Credential, ids.MsgKey
	}
}

// readMessage takes what a chat record says of itself; first is where it stood first.
func (l *Letter) readMessage(chat *stream.Record, first string) {
	var ids struct {
		App  string
		From string          `json:"From_Account"`
		To   json.RawMessage `json:"To_Account"`
	}
	if json.Unmarshal(chat.Value, &ids) != nil {
		return
	}
	l.App, l.User = ids.App, ids.From
	var one string
	if json.Unmarshal(ids.To, &one) == nil {
		l.named = []string{one}
	} else if json.Unmarshal(ids.To, &l.named) != nil {
		l.named = nil
	}
	env := message.Envelope{DefaultApp: l.App, First: first, Time: chat.Time, ContentType: chat.ContentType()}
	if env.DefaultApp == "" {
		env.DefaultApp = "default" // which app it is does not show in the key
	}
	if m, err := message.Parse(chat.Value, env); err == nil {
		l.MsgKey = m.Key
	}
}
