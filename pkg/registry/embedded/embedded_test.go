package embedded

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeysExpireByTheWallClock(t *testing.T) {
	t.Parallel()
	server, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	ctx := t.Context()
	client.Set(ctx, "soon", "x", 10*time.Millisecond)
	client.Set(ctx, "late", "x", time.Hour)
	for deadline := time.Now().Add(5 * time.Second); client.Exists(ctx, "soon").Val() == 1; {
		if time.Now().After(deadline) {
			t.Fatal("a key of 10 ms lives for 5 s")
		}
		time.Sleep(time.Millisecond) // polls
	}
	if left := client.PTTL(ctx, "late").Val(); left < 59*time.Minute || left >= time.Hour {
		t.Errorf("a key of an hour has %s left", left)
	}
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	server, err := Start(Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Addr: server.Addr()}); err == nil {
		t.Error("two servers on one address")
	}
	server.Close()
	server.Close()
}
