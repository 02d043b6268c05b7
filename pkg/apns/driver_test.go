package apns

import (
	"strings"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/drivertest"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	drivertest.Run(t, drivertest.Subject{
		Open: func(t *testing.T) push.Driver {
			dir := t.TempDir()
			_, p8, err := apnstest.NewKey(teamID, keyID)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/AuthKey.p8", p8)
			// Nothing listens there: what is never to leave the driver cannot.
			d, err := Kind().Open(settings(dir, map[string]any{"endpoint": "https://127.0.0.1:1"}, nil))
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Notification: notification,
		Tokens:       []string{strings.Repeat("ab", 32), strings.Repeat("AB", 100)},
		Limit:        4096,
	})
}
