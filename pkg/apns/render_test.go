package apns

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestRenderAsTheContractShows(t *testing.T) {
	t.Parallel()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	got, refused := d.Render(notification(), time.Unix(1790000000, 0))
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	const contract = `{"headers":{"apns-id":"559a65a7-20e4-51c6-8d2a-d706eca5b40d","apns-topic":"com.example.demo","apns-push-type":"alert","apns-priority":"10","apns-expiration":"1790604800","apns-collapse-id":"559a65a7-20e4-51c6-8d2a-d706eca5b40d"},"body":{"aps":{"alert":"Alice:hello","badge":5,"sound":"ding.caf","thread-id":"c2c:alice"},"ext":"{\"page\":\"chat\"}","msg_key":"c2c:alice:101_900001_1790000000"}}`
	var want struct {
		Headers map[string]string
		Body    json.RawMessage
	}
	if err := json.Unmarshal([]byte(contract), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Headers, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(got.Body) != string(want.Body) {
		t.Errorf("body:\n got %s\nwant %s", got.Body, want.Body)
	}
}

func TestRenderLeavesOutWhatIsNotSet(t *testing.T) {
	t.Parallel()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	n := notification()
	n.CollapseID, n.Expires = "", time.Time{}
	got, refused := d.Render(n, time.Unix(1790000000, 0))
	if refused != nil {
		t.Fatalf("refused: %+v", refused)
	}
	want := map[string]string{"apns-id": n.ID, "apns-topic": bundle, "apns-push-type": "alert", "apns-priority": "10"}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// TestHeadersByType shows where each type of push goes, and how urgently.
func TestHeadersByType(t *testing.T) {
	t.Parallel()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	for pushType, want := range map[push.Type]map[string]string{
		push.TypeAlert: {
			"apns-topic": "com.example.demo", "apns-push-type": "alert", "apns-priority": "10",
			"apns-collapse-id": "559a65a7-20e4-51c6-8d2a-d706eca5b40d",
		},
		push.TypeVoIP:       {"apns-topic": "com.example.demo.voip", "apns-push-type": "voip", "apns-priority": "10"},
		push.TypeBackground: {"apns-topic": "com.example.demo", "apns-push-type": "background", "apns-priority": "5"},
	} {
		n := notification()
		n.Type = pushType
		want["apns-id"], want["apns-expiration"] = n.ID, "1790604800"
		got, refused := d.Render(n, time.Unix(1790000000, 0))
		if refused != nil {
			t.Fatalf("%q: refused: %+v", pushType, refused)
		}
		if diff := cmp.Diff(want, got.Headers); diff != "" {
			t.Errorf("%q: headers (-want +got):\n%s", pushType, diff)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want   push.Reason
		change func(n *push.Notification)
	}{
		{push.ReasonUnknownApp, func(n *push.Notification) { n.App = "other" }},
		{push.ReasonUnknownCredential, func(n *push.Notification) { n.Credential = "other" }},
		{push.ReasonTooLarge, func(n *push.Notification) { n.Ext = strings.Repeat("x", 4096) }},
		{push.ReasonTooLarge, func(n *push.Notification) { n.Type, n.Ext = push.TypeVoIP, strings.Repeat("x", 5120) }},
		{push.ReasonPayloadRejected, func(n *push.Notification) { n.Type = "telepathy" }},
		{push.ReasonPayloadRejected, func(n *push.Notification) { n.Body, n.Badge, n.Sound = "", push.NoBadge, push.SoundSilent }},
		{push.ReasonPayloadRejected, func(n *push.Notification) { n.ID = "" }},
		{push.ReasonPayloadRejected, func(n *push.Notification) { n.ID = strings.Repeat("0", 36) }},
		{push.ReasonPayloadRejected, func(n *push.Notification) { n.CollapseID = strings.Repeat("x", 65) }},
	} {
		n := notification()
		test.change(n)
		_, got := d.Render(n, time.Unix(1790000000, 0))
		if got == nil || got.Disposition != push.Dead || got.Reason != test.want {
			t.Errorf("got %+v, want dead: %s", got, test.want)
		}
	}
}

func TestCheckToken(t *testing.T) {
	t.Parallel()
	d, err := Open(settings("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Repeat("ab", 32)
	for _, token := range []string{good, strings.ToUpper(good), strings.Repeat("ab", 100)} {
		if err := d.CheckToken(token); err != nil {
			t.Errorf("%d digits: %v", len(token), err)
		}
	}
	for _, token := range []string{"", good[2:], good + "a", strings.Repeat("ab", 101), good[:63] + "/", good[:63] + "\n", strings.Repeat("ab", 2048)} {
		if err := d.CheckToken(token); err == nil || (token != "" && strings.Contains(err.Error(), token)) {
			t.Errorf("%d bytes: got %v", len(token), err)
		}
	}
}
