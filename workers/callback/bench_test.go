package callback

import (
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// BenchmarkRead is what an app's group costs for each event: of another app, which it passes over, and of its own.
func BenchmarkRead(b *testing.B) {
	for name, app := range map[string]string{"other": "other", "own": "demo"} {
		b.Run(name, func(b *testing.B) {
			pack := new(schemasv1.Events)
			for i := range 500 {
				e := event(i)
				e.App = app
				pack.Events = append(pack.Events, e)
			}
			value, err := pack.MarshalVT()
			if err != nil {
				b.Fatal(err)
			}
			c := &Callback{cfg: Config{App: "demo", Now: time.Now}}
			rec := &stream.Record{Topic: "push.events", Value: value}
			b.ReportAllocs()
			for i := 0; i < b.N; i += 500 {
				if _, err := c.read(rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
