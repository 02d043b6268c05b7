package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
)

// troubled is a registry, opened as the product opens it, on servers that a test does something to. Bob has one phone,
// with its app in the background.
type troubled struct {
	*fixture
	last error // of a call
}

func needsServers(t *testing.T) {
	t.Helper()
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		t.Skip("starts real servers: run scripts/integration ./pkg/registry")
	}
}

func startServer(t *testing.T, args ...string) *redistest.Server {
	t.Helper()
	needsServers(t)
	s, err := redistest.Start(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// startPair starts a master and a replica that follows it.
func startPair(t *testing.T, args ...string) (master, replica *redistest.Server) {
	t.Helper()
	master = startServer(t, append([]string{"--repl-diskless-sync-delay", "0"}, args...)...)
	replica = startServer(t, append([]string{"--replicaof", "127.0.0.1", strconv.Itoa(master.Port())}, args...)...)
	within(t, "the replica follows", func() bool {
		return strings.Contains(do(t, replica, "info", "replication"), "master_link_status:up")
	})
	return master, replica
}

// caughtUp waits until the replica has all that the master has.
func caughtUp(t *testing.T, master, replica *redistest.Server) {
	t.Helper()
	within(t, "the replica has everything", func() bool { return offset(t, master) == offset(t, replica) })
}

// offset is how far a server's data goes.
func offset(t *testing.T, s *redistest.Server) string {
	t.Helper()
	_, rest, _ := strings.Cut(do(t, s, "info", "replication"), "master_repl_offset:")
	offset, _, _ := strings.Cut(rest, "\r")
	return offset
}

func startProxy(t *testing.T, to *redistest.Server) *redistest.Proxy {
	t.Helper()
	p, err := redistest.StartProxy(to.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func do(t *testing.T, s *redistest.Server, args ...string) string {
	t.Helper()
	answer, err := s.Do(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func newTroubled(t *testing.T, addrs ...string) *troubled {
	t.Helper()
	r, err := Open(Config{Addrs: addrs}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w := &troubled{fixture: newFixture(t, r)}
	if err := w.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = at(10)
	w.apply(w.event(EventLogin, 0, token("aa")), w.event(EventBackground, 5))
	w.goesOn()
	return w
}

// calls are what the roles ask of a registry, by what they are.
func (w *troubled) calls(ctx context.Context) map[string]func() error {
	admitted := w.request("trouble" + strconv.FormatInt(appNumber.Add(1), 10))
	return map[string]func() error{
		"decide": func() error {
			decisions, err := w.Decide(ctx, []DecideRequest{w.message()})
			if err == nil && (len(decisions[0].Devices) != 1 || !decisions[0].Devices[0].Push) {
				w.t.Errorf("a push is filtered: %+v", decisions[0])
			}
			return err
		},
		"admit": func() error {
			admissions, err := w.Admit(ctx, []AdmitRequest{admitted})
			if err == nil && admissions[0].Verdict != Go {
				w.t.Errorf("a push is not admitted: %+v", admissions[0])
			}
			return err
		},
		"apply": func() error {
			_, err := w.Apply(ctx, []DeviceEvent{w.event(EventToken, 6, token("aa"))})
			return err
		},
	}
}

// callLimit is longer than any call may take, dialing and time-outs of a cluster's nodes included.
const callLimit = 20 * time.Second

// try makes every call once. Each has to end in time, with the right answer or with an error that is waited out.
func (w *troubled) try(ctx context.Context, lost bool) (failed int) {
	w.t.Helper()
	for name, call := range w.calls(ctx) {
		began := time.Now()
		err := call()
		if took := time.Since(began); took > callLimit {
			w.t.Errorf("%s took %s", name, took)
		}
		if err == nil {
			continue
		}
		failed++
		w.last = err
		if Lasting(err) || (!lost && errors.Is(err, ErrEmpty)) {
			w.t.Errorf("%s: %v: would be given up, or rebuilt for nothing", name, err)
		}
	}
	return failed
}

// holds expects every call to fail, and readiness to say why.
func (w *troubled) holds(why string) {
	w.t.Helper()
	lost := why == ErrEmpty.Error()
	if failed := w.try(w.t.Context(), lost); failed != len(w.calls(w.t.Context())) {
		w.t.Errorf("%d calls failed, want all", failed)
	}
	if err := w.Ready(w.t.Context()); err == nil || !strings.Contains(err.Error(), why) {
		w.t.Errorf("readiness says %v, want %q", err, why)
	}
}

// goesOn waits until the registry answers again, by itself; until then every answer has to be right or an error.
func (w *troubled) goesOn() {
	w.t.Helper()
	within(w.t, "the registry answers", func() bool {
		failed := w.try(w.t.Context(), false)
		return failed == 0 && w.Ready(w.t.Context()) == nil
	})
}

// within polls until it is so.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after a minute: %s", what)
		}
	}
}

// TestRedisHangs: a server that answers nothing costs a call its time-out, or its context's, and no more.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	w := newTroubled(t, server.Addr())
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := w.Decide(ctx, []DecideRequest{w.message()}); err == nil {
		t.Error("a server that hangs decides")
	}
	if took := time.Since(began); took > 1500*time.Millisecond { // less than the time-out of a call
		t.Errorf("a context of 200 ms took %s", took)
	}
	w.holds("timeout")
	if err := server.Continue(); err != nil {
		t.Fatal(err)
	}
	w.goesOn()
}

// TestRedisIsAway: nobody listens.
func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	w := newTroubled(t, server.Addr())
	server.Kill()
	w.holds("connection refused")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.goesOn()
}

// TestRedisRestartsEmpty: what came back without its data is told from a Redis in which nobody has a device.
func TestRedisRestartsEmpty(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	w := newTroubled(t, server.Addr())
	bob := w.binding("bob", "phone")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "connections are new", func() bool { return errors.Is(w.Ready(t.Context()), ErrEmpty) })
	w.holds(ErrEmpty.Error())
	w.rebuild(bob)
	w.goesOn()
}

// rebuild restores states as the devices role does.
func (w *troubled) rebuild(states ...State) {
	w.t.Helper()
	ctx := w.t.Context()
	if ok, err := w.AcquireRebuild(ctx, "me", time.Minute); !ok || err != nil {
		w.t.Fatal(ok, err)
	}
	if err := w.Restore(ctx, states); err != nil {
		w.t.Fatal(err)
	}
	if err := w.CompleteRebuild(ctx, "me"); err != nil {
		w.t.Fatal(err)
	}
	if err := w.ReleaseRebuild(ctx, "me"); err != nil {
		w.t.Fatal(err)
	}
}

// TestRedisLoads: a server that reads its data back takes its time, and says so.
func TestRedisLoads(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--loading-process-events-interval-bytes", "1024", "--enable-debug-command", "local")
	w := newTroubled(t, server.Addr())
	do(t, server, "debug", "populate", "3000", "filler", "100")
	do(t, server, "save")
	if err := server.Restart(t.Context(), "--key-load-delay", "1000"); err != nil { // µs a key
		t.Fatal(err)
	}
	within(t, "connections are new", func() bool { return !strings.Contains(w.why(), "EOF") })
	w.holds("LOADING")
	w.goesOn()
}

// why is what readiness says.
func (w *troubled) why() string {
	if err := w.Ready(w.t.Context()); err != nil {
		return err.Error()
	}
	return ""
}

// TestRedisMasterIsDemoted: the address of a managed Redis leads to the promoted replica, but the connections that are
// there stay with the server that is a replica now.
func TestRedisMasterIsDemoted(t *testing.T) {
	t.Parallel()
	master, replica := startPair(t)
	proxy := startProxy(t, master)
	w := newTroubled(t, proxy.Addr())
	caughtUp(t, master, replica)
	do(t, replica, "replicaof", "no", "one")
	do(t, master, "replicaof", "127.0.0.1", strconv.Itoa(replica.Port()))
	w.holds("READONLY")
	proxy.Switch(replica.Addr())
	w.goesOn()
}

// TestRedisFailsOver: the master is gone, its replica takes over. It has none of the scripts (NOSCRIPT).
func TestRedisFailsOver(t *testing.T) {
	t.Parallel()
	master, replica := startPair(t)
	proxy := startProxy(t, master)
	w := newTroubled(t, proxy.Addr())
	do(t, replica, "script", "flush")
	caughtUp(t, master, replica)
	master.Kill()
	w.holds("EOF")
	do(t, replica, "replicaof", "no", "one")
	proxy.Switch(replica.Addr())
	w.goesOn()
}

// TestRedisFailsOverWithoutTheLastWrites: replication is asynchronous. What the promoted replica lacks of claims and marks
// may bring a push twice, never none.
func TestRedisFailsOverWithoutTheLastWrites(t *testing.T) {
	t.Parallel()
	master, replica := startPair(t)
	proxy := startProxy(t, master)
	w := newTroubled(t, proxy.Addr())
	caughtUp(t, master, replica)
	before, request := w.message(), w.request("before")
	if err := w.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.decide(before)
	w.admit(request)
	w.settle(request, MarkDone, "")
	caughtUp(t, master, replica)
	do(t, replica, "replicaof", "no", "one") // what comes now does not reach it
	lost, lostRequest := w.message(), w.request("lost")
	w.decide(lost)
	w.admit(lostRequest)
	w.settle(lostRequest, MarkDone, "")
	master.Kill()
	proxy.Switch(replica.Addr())
	w.goesOn()

	if another, err := w.Succeeded(t.Context()); !another || err != nil {
		t.Errorf("another server took over: %t, %v", another, err)
	}
	if err := w.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if another, err := w.Succeeded(t.Context()); another || err != nil {
		t.Errorf("the server was adopted: %t, %v", another, err)
	}
	if got := w.decide(before)[0]; got.Status != Replay {
		t.Errorf("a claim that was replicated: %s", got.Status)
	}
	if got := w.admit(request)[0]; got.Verdict != Done {
		t.Errorf("a mark that was replicated: %s", got.Verdict)
	}
	if got := w.decide(lost)[0]; len(got.Devices) != 1 || !got.Devices[0].Push {
		t.Errorf("a claim that was lost: %+v", got)
	}
	if got := w.admit(lostRequest)[0]; got.Verdict != Go {
		t.Errorf("a mark that was lost: %s", got.Verdict)
	}
}

// TestRedisReplicaHasNoMaster: a replica that does not serve stale data.
func TestRedisReplicaHasNoMaster(t *testing.T) {
	t.Parallel()
	master, replica := startPair(t, "--replica-serve-stale-data", "no")
	proxy := startProxy(t, master)
	w := newTroubled(t, proxy.Addr())
	caughtUp(t, master, replica)
	master.Kill()
	proxy.Switch(replica.Addr())
	within(t, "connections are new", func() bool { return strings.Contains(w.why(), "READONLY") })
	w.holds("READONLY") // what a write gets
	if !strings.Contains(w.last.Error(), "MASTERDOWN") {
		t.Errorf("a script gets %v, want MASTERDOWN", w.last)
	}
	do(t, replica, "replicaof", "no", "one")
	w.goesOn()
}

// TestRedisIsOutOfMemory: with noeviction a write is refused, and nothing is half done.
func TestRedisIsOutOfMemory(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	w := newTroubled(t, server.Addr())
	badge := w.shown(t).Badge
	do(t, server, "config", "set", "maxmemory", "1")
	w.holds("OOM")
	do(t, server, "config", "set", "maxmemory", "0")
	if got := w.shown(t).Badge; got != badge {
		t.Errorf("messages that were not decided count: %d, want %d", got, badge)
	}
	w.goesOn()
}

// TestRedisEvicts: a Redis that throws users away is not used; one that throws claims away is warned of.
func TestRedisEvicts(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	w := newTroubled(t, server.Addr())
	core, logged := observer.New(zap.WarnLevel)
	w.opts.Logger = zap.New(core)
	for _, test := range []struct {
		policy, limit string
		want          error
		warned        int
	}{
		{"allkeys-lru", "0", nil, 0},
		{"allkeys-lru", "100mb", ErrEvicts, 0},
		{"allkeys-random", "100mb", ErrEvicts, 0},
		{"noeviction", "100mb", nil, 0},
		{"volatile-ttl", "100mb", nil, 1},
		{"volatile-lru", "100mb", nil, 1}, // said once
	} {
		do(t, server, "config", "set", "maxmemory", test.limit)
		do(t, server, "config", "set", "maxmemory-policy", test.policy)
		if err := w.Ready(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s with %s: %v, want %v", test.policy, test.limit, err, test.want)
		}
		if logged.Len() != test.warned {
			t.Errorf("%s with %s: %d warnings, want %d", test.policy, test.limit, logged.Len(), test.warned)
		}
	}
}

// TestRedisCannotSave: a server that cannot write its snapshot takes no writes either.
func TestRedisCannotSave(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--save", "3600 1", "--dbfilename", "taken")
	w := newTroubled(t, server.Addr())
	_, dir, _ := strings.Cut(do(t, server, "config", "get", "dir"), "\n")
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	do(t, server, "bgsave")
	within(t, "the save failed", func() bool { return strings.Contains(w.why(), "MISCONF") })
	w.holds("MISCONF")
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	do(t, server, "bgsave")
	w.goesOn()
}

// TestRedisResetsAConnectionInAPipeline: some of a pipeline's scripts ran, and nobody knows which. The same calls again
// give what the first would have given.
func TestRedisResetsAConnectionInAPipeline(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	proxy := startProxy(t, server)
	w := newTroubled(t, proxy.Addr())
	badge := w.shown(t).Badge
	for _, bytes := range []int{0, 1, 200, 1000, 5000} {
		messages, requests := make([]DecideRequest, 50), make([]AdmitRequest, 50)
		for i := range messages {
			messages[i] = w.message()
			requests[i] = w.request("reset" + strconv.Itoa(bytes) + "/" + strconv.Itoa(i))
		}
		login := w.event(EventLogin, 5, token("bb"), of("carol"+strconv.Itoa(bytes), "phone"))
		proxy.Cut(bytes)
		proxy.Drop()
		failed := 0
		count := func(err error) {
			if err != nil {
				failed++
			}
			if Lasting(err) {
				t.Errorf("after %d bytes: %v", bytes, err)
			}
		}
		for range 20 { // the connections that were there are found dead first
			_, err := w.Decide(t.Context(), messages)
			count(err)
			_, err = w.Admit(t.Context(), requests)
			count(err)
			_, err = w.Apply(t.Context(), []DeviceEvent{login, login})
			count(err)
		}
		proxy.Cut(-1)
		if failed == 0 {
			t.Errorf("nothing failed with connections that end after %d bytes", bytes)
		}
		within(t, "connections are new", func() bool { return w.Ready(t.Context()) == nil })
		for i, d := range w.decide(messages...) {
			badge++
			if len(d.Devices) != 1 || d.Devices[0].Badge != badge {
				t.Fatalf("after %d bytes: message %d: %+v, want the badge %d", bytes, i, d.Devices, badge)
			}
		}
		for i, a := range w.admit(requests...) {
			if a.Verdict != Go {
				t.Errorf("after %d bytes: request %d: %s", bytes, i, a.Verdict)
			}
		}
		if got := w.apply(login)[0].States[0].Binding.Version; got != 1 {
			t.Errorf("after %d bytes: the login of one token has version %d", bytes, got)
		}
	}
	if got := w.shown(t); got.Badge != badge || got.Filter != "" || got.Presence != push.ReasonBackground {
		t.Errorf("at the end: %+v, want the badge %d", got, badge)
	}
}
