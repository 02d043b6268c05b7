package fcm_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// BenchmarkSend is a full window against the simulator, which shares the processor: its ns/op bound what the sender
// alone costs from above.
func BenchmarkSend(b *testing.B) {
	w := newWorld(b, fcmtest.Config{}, nil)
	batch := make([]*push.Notification, 500)
	for i := range batch {
		batch[i] = hello()
		batch[i].Token = fmt.Sprintf("token-%d", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= len(batch) {
		w.sender.Send(context.Background(), batch[:min(left, len(batch))], func(_ int, o push.Outcome) {
			if o.Disposition != push.Delivered {
				b.Errorf("got %+v", o)
			}
		})
	}
}

func BenchmarkRender(b *testing.B) {
	driver := open(b, settings(nil, nil, anyKey))
	n := hello()
	b.ReportAllocs()
	for b.Loop() {
		driver.Render(n, now)
	}
}
