package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/workers/callback"
)

// TestTheReceiverTakesWhatIsSigned: the example on docs/callbacks.md, told by what signs callbacks.
func TestTheReceiverTakesWhatIsSigned(t *testing.T) {
	t.Parallel()
	const (
		old, secret = "an old secret of some length", "a secret of enough characters"
		body        = `{"App":"demo","Events":[{"EventID":"1","EventType":1,"MsgKey":"c2c:alice:1_2_3","To_Account":"bob","PushStage":1,"ErrCode":0},` +
			`{"EventID":"2","MsgKey":"c2c:alice:1_2_3","To_Account":"carol","PushStage":1,"ErrCode":2001,"ErrInfo":"unregistered"}]}`
	)
	now := time.Unix(1790000000, 0)
	var taken []event
	r := &receiver{secret: []byte(secret), now: func() time.Time { return now }, seen: map[string]bool{}, take: func(e event) { taken = append(taken, e) }}
	sign := func(secrets ...string) (keys [][]byte) {
		for _, s := range secrets {
			keys = append(keys, []byte(s))
		}
		return keys
	}
	for _, step := range []struct {
		name    string
		secrets [][]byte
		at      time.Time
		signed  string // other than the body
		body    string
		want    int
	}{
		{"signed", sign(secret), now, "", body, http.StatusNoContent},
		{"told again", sign(secret), now.Add(time.Minute), "", body, http.StatusNoContent},
		{"while the secret is replaced", sign(old, secret), now, "", body, http.StatusNoContent},
		{"signed by others", sign(old), now, "", body, http.StatusUnauthorized},
		{"another body", sign(secret), now, "{}", body, http.StatusUnauthorized},
		{"recorded and played later", sign(secret), now.Add(-6 * time.Minute), "", body, http.StatusUnauthorized},
		{"from the future", sign(secret), now.Add(6 * time.Minute), "", body, http.StatusUnauthorized},
		{"not signed", nil, now, "", body, http.StatusUnauthorized},
		{"not JSON", sign(secret), now, "", "x", http.StatusBadRequest},
		{"endless", sign(secret), now, "", strings.Repeat("x", maxBody+1), http.StatusRequestEntityTooLarge},
	} {
		timestamp := strconv.FormatInt(step.at.Unix(), 10)
		signed := step.body
		if step.signed != "" {
			signed = step.signed
		}
		req := httptest.NewRequest(http.MethodPost, "/push/events", strings.NewReader(step.body))
		req.Header.Set(callback.HeaderTimestamp, timestamp)
		req.Header.Set(callback.HeaderSignature, callback.Sign(step.secrets, timestamp, []byte(signed)))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code != step.want {
			t.Errorf("%s: %d, want %d", step.name, w.Code, step.want)
		}
	}
	want := []event{{EventID: "1", PushStage: 1, MsgKey: "c2c:alice:1_2_3", ToAccount: "bob"},
		{EventID: "2", PushStage: 1, MsgKey: "c2c:alice:1_2_3", ToAccount: "carol", ErrCode: 2001, ErrInfo: "unregistered"}}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}
