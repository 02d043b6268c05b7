package fcm_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/fcm"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/drivertest"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]map[string]any{"data": dataStyle, "notification": notificationStyle} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, drivertest.Subject{
				Open: func(t *testing.T) push.Driver {
					// Nothing listens there: what is never to leave the driver cannot.
					s := settings(map[string]any{"endpoint": "https://127.0.0.1:1"}, style, anyKey)
					s.Dir = t.TempDir()
					write(t, filepath.Join(s.Dir, "sa.json"), accountJSON(t, map[string]any{"token_uri": "https://127.0.0.1:1/token"}))
					d, err := fcm.Kind().Open(s)
					if err != nil {
						t.Fatal(err)
					}
					return d
				},
				Notification: hello,
				Tokens:       []string{"dXl:APA91b_-~bob", strings.Repeat("x", 4096)},
				Limit:        4096,
			})
		})
	}
}
