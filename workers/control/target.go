package control

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Target is what may be stopped: a platform, an app, or one credential of an app. A [Ready] names all three, with
// no credential on a platform that needs none.
type Target struct {
	Platform   push.Platform `json:"platform,omitempty"`
	App        string        `json:"app,omitempty"`
	Credential string        `json:"credential,omitempty"`
}

func (t Target) String() string {
	var parts []string
	for _, part := range []struct{ name, value string }{{"platform", string(t.Platform)}, {"app", t.App}, {"credential", t.Credential}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}

// Covers says whether a notification of an app and credential is among what the target names.
func (t Target) Covers(p push.Platform, app, credential string) bool {
	return (t.Platform == "" || t.Platform == p) && (t.App == "" || t.App == app) && (t.Credential == "" || t.Credential == credential)
}

// The first part of a record's key.
const (
	keyPlatform   = "pause-platform"
	keyApp        = "pause-app"
	keyCredential = "pause-credential"
	keyReady      = "ready-" // and the platform
)

var errTarget = errors.New("what is stopped is a platform, an app, or a credential of an app")

// pauseKey is the key of what an operator says of a target.
func pauseKey(t Target) ([]byte, error) {
	var key []byte
	switch {
	case t.Platform != "" && t.App == "" && t.Credential == "":
		key = stream.UserKey(keyPlatform, string(t.Platform))
	case t.Platform == "" && t.App != "" && t.Credential == "":
		key = stream.UserKey(keyApp, t.App)
	case t.Platform == "" && t.App != "" && t.Credential != "":
		key = stream.DeviceKey(keyCredential, t.App, t.Credential)
	default:
		return nil, errTarget
	}
	if _, err := stream.SplitKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

// readyKey is the key of what deliver says of a credential.
func readyKey(t Target) []byte {
	if t.Credential == "" {
		return stream.UserKey(keyReady+string(t.Platform), t.App)
	}
	return stream.DeviceKey(keyReady+string(t.Platform), t.App, t.Credential)
}

// parseKey reads a record's key; ready says which kind it is.
func parseKey(key []byte) (t Target, ready bool, err error) {
	parts, err := stream.SplitKey(key)
	if err != nil {
		return t, false, err
	}
	platform, ready := strings.CutPrefix(parts[0], keyReady)
	switch {
	case len(parts) == 2 && parts[0] == keyPlatform:
		t.Platform = push.Platform(parts[1])
	case len(parts) == 2 && parts[0] == keyApp:
		t.App = parts[1]
	case len(parts) == 3 && parts[0] == keyCredential:
		t.App, t.Credential = parts[1], parts[2]
	case ready && len(parts) == 2:
		t.Platform, t.App = push.Platform(platform), parts[1]
	case ready && len(parts) == 3:
		t.Platform, t.App, t.Credential = push.Platform(platform), parts[1], parts[2]
	default:
		return t, false, fmt.Errorf("key of %d parts is of no kind that is known", len(parts))
	}
	return t, ready, nil
}
