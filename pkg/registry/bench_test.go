package registry

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const benchUsers, benchBatch = 5000, 500

// benchServer is an empty registry, on the real server where one is named.
func benchServer(b *testing.B) *Registry {
	addr := os.Getenv("PUSHFLEET_TEST_REDIS")
	db := testDB + 1
	if addr == "" {
		addr, db = serve(b), 0
	}
	client := dial(b, addr, db)
	b.Cleanup(func() { client.FlushDB(b.Context()) })
	r := newRegistry(client, false, Options{Now: func() time.Time { return at(10) }})
	if err := r.Complete(b.Context()); err != nil {
		b.Fatal(err)
	}
	return r
}

// benchRegistry holds users with one phone in the background each.
func benchRegistry(b *testing.B) *Registry {
	r := benchServer(b)
	var events []DeviceEvent
	for i := range benchUsers {
		user, device := benchUser(i)
		login := DeviceEvent{App: "demo", User: user, Device: device, Event: EventLogin, EventTime: start}
		token(fmt.Sprintf("%064d", i))(&login)
		credential("demo-ios")(&login)
		events = append(events, login, DeviceEvent{App: "demo", User: user, Device: device, Event: EventBackground, EventTime: at(5)})
	}
	if _, err := r.Apply(b.Context(), events); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	return r
}

func benchUser(i int) (user, device string) {
	user = fmt.Sprintf("user%06d", i%benchUsers)
	return user, user + "-iphone"
}

func BenchmarkDecide(b *testing.B) {
	r := benchRegistry(b)
	requests := make([]DecideRequest, benchBatch)
	for n := 0; n < b.N; n += benchBatch {
		for i := range requests {
			user, _ := benchUser(n + i)
			id := fmt.Sprint(n + i)
			requests[i] = DecideRequest{
				App: "demo", User: user, Origin: "im.messages/0/" + id, Counts: true, RecordTime: start, MsgKey: id, Conversation: "c2c:alice",
				Claim: Claim{Key: id, Content: "01020304", MsgTime: 1790000000, Window: 2 * time.Minute},
			}
		}
		if _, err := r.Decide(b.Context(), requests); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdmitAndSettle(b *testing.B) {
	r := benchRegistry(b)
	requests, marks := make([]AdmitRequest, benchBatch), make([]Mark, benchBatch)
	for n := 0; n < b.N; n += benchBatch {
		for i := range requests {
			user, device := benchUser(n + i)
			id := fmt.Sprintf("559a65a7-20e4-51c6-8d2a-%012d", n+i)
			requests[i] = AdmitRequest{
				App: "demo", User: user, Device: device, ID: id, Owner: "worker-1", Lease: 15 * time.Second, Platform: push.Platform("apns"), Version: 1, MsgKey: id,
			}
			marks[i] = Mark{App: "demo", User: user, ID: id, Owner: "worker-1", State: MarkDone}
		}
		if _, err := r.Admit(b.Context(), requests); err != nil {
			b.Fatal(err)
		}
		if err := r.Settle(b.Context(), marks); err != nil {
			b.Fatal(err)
		}
	}
}
