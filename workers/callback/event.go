package callback

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Event is one event of a callback. The names are those that IM services know from their after-push callbacks; EventID,
// Device, Platform and Purpose are ours. What is not known is absent.
type Event struct {
	EventID     string // a UUID: the same event told again has the same
	EventType   int    // 1 one-to-one, 2 group
	EventTime   int64  // in ms; of a receipt, by the device's clock
	FromAccount string `json:"From_Account,omitempty"`
	ToAccount   string `json:"To_Account,omitempty"`
	Device      string `json:",omitempty"`

	PushPlatform int    // 1 APNs, 4 FCM, 0 another
	Platform     string `json:",omitempty"`
	PushStage    int    // 1 sent, or not; 2 reached the device; 3 clicked

	MsgKey    string
	GroupID   string `json:"GroupId,omitempty"`
	MsgSeq    uint32 `json:",omitempty"`
	MsgRandom uint32 `json:",omitempty"`
	MsgTime   int64  `json:",omitempty"` // MsgTimeStamp, in seconds
	PushID    string `json:",omitempty"`
	Purpose   string `json:",omitempty"` // recall, fallback; absent: the message's own push

	ErrCode int    // 0 = all went well; see Codes
	ErrInfo string `json:",omitempty"`
}

// The stages of a push.
const (
	stageSent    = 1
	stageReached = 2
	stageClicked = 3
)

// Tell turns a step of a message's way into what its IM is told; false where it is not: what is only on its way, what never
// became a push of one device for a reason of the user's, and numbers on icons. Told is how every push ended, what could
// not be pushed at all, and what devices report.
func Tell(e *schemasv1.Event) (Event, bool) {
	stage, code := stageSent, 0
	reason := push.Reason(e.GetReason())
	switch e.GetDisposition() {
	case push.Delivered.String():
	case push.DropToken.String(), push.Dead.String():
		code = codeOf(reason)
	case push.Filter.String():
		// A newer attempt takes a superseded one's place, and tells how the push ended.
		if e.GetId() == "" || reason == push.ReasonSuperseded {
			return Event{}, false
		}
		code = codeOf(reason)
	case string(registry.ReceiptReached):
		stage = stageReached
	case string(registry.ReceiptClicked):
		stage = stageClicked
	default:
		return Event{}, false
	}
	if e.GetPurpose() == push.PurposeSync {
		return Event{}, false
	}
	told := Event{EventTime: e.GetTimeMs(), FromAccount: e.GetSender(), ToAccount: e.GetUser(), Device: e.GetDevice(),
		PushPlatform: platformCode(e.GetPlatform()), Platform: e.GetPlatform(), PushStage: stage, MsgKey: e.GetMsgKey(), MsgSeq: e.GetMsgSeq(),
		PushID: e.GetId(), Purpose: e.GetPurpose(), ErrCode: code}
	if code != 0 {
		told.ErrInfo = e.GetReason()
		if e.GetAnswer() != "" {
			told.ErrInfo += ": " + e.GetAnswer()
		}
	}
	told.identify(e)
	return told, true
}

// identify fills what the message's key and conversation say, and the event's id.
func (t *Event) identify(e *schemasv1.Event) {
	key, ok := message.ParseKey(e.GetMsgKey())
	if ok {
		t.GroupID, t.MsgRandom, t.MsgTime = key.Group, key.Random, key.Time
		if key.Group == "" {
			t.FromAccount, t.MsgSeq = key.Sender, key.Seq
		}
	}
	if group, ok := strings.CutPrefix(e.GetConversation(), "group:"); ok {
		t.GroupID = group
	}
	t.EventType = 1
	if t.GroupID != "" {
		t.EventType = 2
	}
	// Neither the time nor the attempt is part of it: what a crash has said twice has other ones.
	name := strings.Join([]string{"https://github.com/pushfleet/pushfleet/callback", e.GetApp(), e.GetMsgKey(), e.GetUser(), e.GetDevice(),
		e.GetId(), e.GetDisposition(), e.GetReason(), strconv.Itoa(int(e.GetRedrive()))}, "\x00")
	t.EventID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)).String()
}

// platformCode is the number by which IM services know a platform.
func platformCode(platform string) int {
	switch platform {
	case "apns":
		return 1
	case "fcm":
		return 4
	}
	return 0
}

func (t Event) encode() []byte {
	b, err := json.Marshal(t)
	if err != nil {
		panic("a struct of strings and integers did not marshal: " + err.Error())
	}
	return b
}
