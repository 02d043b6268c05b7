package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// apnsInfo is a message with a text and these members in ApnsInfo.
func apnsInfo(members string) string {
	return row{who: alice, body: hello, more: `"OfflinePushInfo":{"ApnsInfo":{` + members + `}}`}.record()
}

// TestPushTypes: what a message asks for, what the device can do, and what is sent.
func TestPushTypes(t *testing.T) {
	t.Parallel()
	type sent struct {
		pushType            push.Type
		interruption, title string
		body                string
	}
	const call = `"PushType":"voip","Title":"Call"`
	for name, c := range map[string]struct {
		info  string
		rings bool
		want  sent
	}{
		"a message is an alert":                       {`"Title":"T"`, true, sent{push.TypeAlert, "", "T", "hello"}},
		"alert says the same":                         {`"PushType":"alert"`, true, sent{push.TypeAlert, "", "", "Alice:hello"}},
		"null and empty are absent":                   {`"PushType":null,"InterruptionLevel":""`, true, sent{push.TypeAlert, "", "", "Alice:hello"}},
		"a call rings":                                {call, true, sent{push.TypeVoIP, "", "Call", "hello"}},
		"a call to a device that cannot ring":         {call, false, sent{push.TypeAlert, "time-sensitive", "Call", "hello"}},
		"unless the message names a level itself":     {call + `,"InterruptionLevel":"critical"`, false, sent{push.TypeAlert, "critical", "Call", "hello"}},
		"a background message shows nothing":          {`"PushType":"background","Title":"T","InterruptionLevel":"active"`, true, sent{push.TypeBackground, "", "", ""}},
		"on any device":                               {`"PushType":"background","Title":"T"`, false, sent{push.TypeBackground, "", "", ""}},
		"passive comes without light or sound":        {`"InterruptionLevel":"passive"`, false, sent{push.TypeAlert, "passive", "", "Alice:hello"}},
		"active is the platform's default, said":      {`"InterruptionLevel":"active"`, false, sent{push.TypeAlert, "active", "", "Alice:hello"}},
		"time-sensitive breaks through a focus":       {`"InterruptionLevel":"time-sensitive"`, false, sent{push.TypeAlert, "time-sensitive", "", "Alice:hello"}},
		"critical breaks through the silenced switch": {`"InterruptionLevel":"critical"`, false, sent{push.TypeAlert, "critical", "", "Alice:hello"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := parse(t, apnsInfo(c.info)).Render(message.View{Platform: "apns", Rings: c.rings})
			got := sent{n.Type, n.Interruption, n.Title, n.Body}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(sent{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBackgroundMessage: it wakes the app with what the app reads, and has nothing that a phone shows or sounds.
func TestBackgroundMessage(t *testing.T) {
	t.Parallel()
	m := parse(t, row{who: alice, body: noDesc, more: `"SendMsgControl":[],"OfflinePushInfo":{"Title":"T","Desc":"d","Ext":"e",` +
		`"AndroidInfo":{"Sound":"a","GoogleChannelID":"c","New":1},"ApnsInfo":{"PushType":"background","Sound":"s","Title":"a","SubTitle":"b","Image":"i","MutableContent":1}}`}.record())
	for v, vendor := range map[message.View]string{
		{Platform: "apns", Sound: "u.caf"}:               `{"New":1}`,
		{Platform: "fcm", Sound: "u.caf", Private: true}: ``,
	} {
		want := push.Notification{App: "standard", MsgKey: m.Key, Type: push.TypeBackground, Ext: "e", Vendor: vendor,
			Thread: "c2c:alice", Sender: "alice", Badge: push.NoBadge, Expires: m.Expires, Received: recordTime}
		if diff := cmp.Diff(want, m.Render(v)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.Platform, diff)
		}
	}
	if m.Counts() {
		t.Error("a background message counts")
	}
	if reason := parse(t, apnsInfo(`"PushType":"background"`)).Filter(recordTime, 0); reason != "" {
		t.Errorf("with text: %s", reason)
	}
	withoutText := row{who: alice, body: `[]`, more: `"OfflinePushInfo":{"ApnsInfo":{"PushType":"background"}}`}.record()
	if reason := parse(t, withoutText).Filter(recordTime, 0); reason != "" {
		t.Errorf("without text: %s", reason)
	}
	if reason := parse(t, strings.Replace(withoutText, "background", "voip", 1)).Filter(recordTime, 0); reason != push.ReasonNoText {
		t.Errorf("a call without text: %q, although some devices get it as an alert", reason)
	}
}

// TestCallsRingForSeconds: MsgLifeTime absent means 30 s for a call, and 7 days for everything else.
func TestCallsRingForSeconds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pushType, life string
		want           time.Duration
	}{
		"a call":                     {"voip", ``, 30 * time.Second},
		"a null MsgLifeTime is none": {"voip", `,"MsgLifeTime":null`, 30 * time.Second},
		"a call that says it":        {"voip", `,"MsgLifeTime":60`, time.Minute},
		"a call for too long":        {"voip", `,"MsgLifeTime":604801`, 7 * 24 * time.Hour},
		"an alert":                   {"alert", ``, 7 * 24 * time.Hour},
		"a background message":       {"background", ``, 7 * 24 * time.Hour},
	} {
		m := parse(t, row{who: alice, body: hello, more: `"OfflinePushInfo":{"ApnsInfo":{"PushType":"` + c.pushType + `"}}` + c.life}.record())
		if got := m.Expires.Sub(m.Time); got != c.want || m.Render(message.View{Rings: true}).Expires != m.Expires {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestLanes: calls are urgent; Low is bulk; a group too big for the others' lane is bulk, unless it is High.
func TestLanes(t *testing.T) {
	t.Parallel()
	const call = `,"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}}`
	for name, c := range map[string]struct {
		more         string
		lane, fanout push.Lane
	}{
		"no priority":              {``, push.LaneNormal, push.LaneBulk},
		"Normal":                   {`,"MsgPriority":"Normal"`, push.LaneNormal, push.LaneBulk},
		"High":                     {`,"MsgPriority":"High"`, push.LaneNormal, push.LaneNormal},
		"Low":                      {`,"MsgPriority":"Low"`, push.LaneBulk, push.LaneBulk},
		"what is not known":        {`,"MsgPriority":"Highest"`, push.LaneNormal, push.LaneBulk},
		"the case counts":          {`,"MsgPriority":"low"`, push.LaneNormal, push.LaneBulk},
		"null is none":             {`,"MsgPriority":null`, push.LaneNormal, push.LaneBulk},
		"a call":                   {call, push.LaneUrgent, push.LaneUrgent},
		"a call of low priority":   {call + `,"MsgPriority":"Low"`, push.LaneUrgent, push.LaneUrgent},
		"a message of no lifetime": {`,"MsgLifeTime":0`, push.LaneNormal, push.LaneBulk},
	} {
		for _, who := range []string{alice, team} {
			m := parse(t, `{`+who+`,"MsgBody":`+hello+c.more+`}`)
			if m.Lane() != c.lane || m.FanoutLane() != c.fanout {
				t.Errorf("%s: %s, big group %s, want %s, %s", name, m.Lane(), m.FanoutLane(), c.lane, c.fanout)
			}
		}
	}
}
