package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
)

// redisTrouble is something that happens to Redis while messages flow.
type redisTrouble struct {
	name  string
	args  []string // of the server
	pair  bool     // it has a replica
	begin func(*redisRig)
	end   func(*redisRig)
	// why is what readiness says meanwhile. Nothing is pushed then.
	why string
	// twice says that claims and marks were lost, so that a push may arrive twice.
	twice bool
}

func redisTroubles() []redisTrouble {
	return []redisTrouble{
		{name: "hangs", begin: (*redisRig).pause, end: (*redisRig).unpause, why: "timeout"},
		{name: "is away", args: []string{"--appendonly", "yes", "--appendfsync", "always"}, begin: (*redisRig).kill, end: (*redisRig).restart, why: "EOF"},
		{name: "restarts empty", begin: (*redisRig).kill, end: (*redisRig).restart, why: "EOF", twice: true},
		{name: "loads", args: []string{"--loading-process-events-interval-bytes", "1024", "--enable-debug-command", "local"},
			begin: (*redisRig).load, end: func(*redisRig) {}, why: "LOADING"},
		{name: "is demoted", pair: true, begin: (*redisRig).demote, end: (*redisRig).follow, why: "READONLY"},
		{name: "fails over", pair: true, begin: (*redisRig).kill, end: (*redisRig).promote, why: "EOF", twice: true},
		{name: "has no memory", begin: func(r *redisRig) { r.set("maxmemory", "1") }, end: func(r *redisRig) { r.set("maxmemory", "0") }, why: "OOM"},
		{name: "evicts users", begin: (*redisRig).evict, end: func(r *redisRig) { r.set("maxmemory-policy", "noeviction") }, why: "evict"},
		{name: "forgets everything", begin: func(r *redisRig) { r.do(r.master, "flushall") }, end: func(*redisRig) {}, twice: true},
		{name: "forgets the scripts", begin: func(r *redisRig) { r.do(r.master, "script", "flush") }, end: func(*redisRig) {}},
		{name: "resets connections", begin: (*redisRig).reset, end: func(r *redisRig) { r.proxy.Cut(-1); r.proxy.Drop() }},
	}
}

const (
	troubleUsers    = 10
	troubleMessages = 60 // half before, half meanwhile
)

// TestRedisTrouble lets each trouble come while messages flow, and go again: everything holds and says why, nothing is
// filtered, and afterwards every push arrives without anybody's help.
func TestRedisTrouble(t *testing.T) {
	t.Parallel()
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		t.Skip("starts real servers: run scripts/integration ./workers/fleet")
	}
	for _, c := range redisTroubles() { // one at a time: each is a whole fleet
		t.Run(c.name, func(t *testing.T) { c.play(t) }) //nolint:paralleltest // as said
	}
}

// redisRig is a fleet and the Redis behind its address.
type redisRig struct {
	*embeddedFleet
	master, replica *redistest.Server
	proxy           *redistest.Proxy
	health          string
}

func startRedisRig(t *testing.T, c redisTrouble) *redisRig {
	t.Helper()
	r := &redisRig{master: startRedis(t, c.args...)}
	if c.pair {
		r.replica = startRedis(t, append([]string{"--replicaof", "127.0.0.1", strconv.Itoa(r.master.Port())}, c.args...)...)
	}
	proxy, err := redistest.StartProxy(r.master.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	r.proxy = proxy
	r.start(t, []string{proxy.Addr()})
	return r
}

// start starts the fleet, with a listener for its health.
func (r *redisRig) start(t *testing.T, redis []string) {
	t.Helper()
	r.health = freeAddr(t)
	settings := "default_app: demo\nretry: {delays: [1s], max_attempts: 20}\nshutdown: {grace: 3s}\nhealth: {listen: \"" + r.health + "\"}"
	r.embeddedFleet = embedded{redis: redis, concurrency: 100, settings: settings, policies: map[string]string{"demo": ""}}.start(t)
}

func startRedis(t *testing.T, args ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Start(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (c *redisTrouble) play(t *testing.T) {
	r := startRedisRig(t, *c)
	f := r.embeddedFleet
	tokens := map[push.Platform][]string{"apns": f.phones("demo", "apns", troubleUsers), "fcm": f.phones("demo", "fcm", troubleUsers)}
	due := map[pair]string{}
	send := func(from, to int) {
		for i := from; i < to; i++ {
			for p, phones := range tokens {
				due[pair{f.text(p, userOf(p, i%troubleUsers), i), phones[i%troubleUsers]}] = userOf(p, i%troubleUsers)
			}
		}
	}
	send(0, troubleMessages/2)
	f.awaitEnds(len(due), false)
	if r.replica != nil {
		r.caughtUp()
	}
	c.begin(r)
	began := time.Now()
	if c.why != "" {
		r.says(c.why)
	}
	before := r.pushed(tokens)
	send(troubleMessages/2, troubleMessages)
	if c.why != "" && c.name != "loads" { // which ends by itself
		time.Sleep(time.Second) // long enough for a push that should not come
		if n := r.pushed(tokens); n != before {
			t.Errorf("%d pushes while readiness says why not", n-before)
		}
		r.says(c.why)
	}
	c.end(r)
	ends := f.awaitEnds(len(due), false)
	r.says("")
	c.judge(t, r, due, ends, time.Since(began))
}

func (c *redisTrouble) judge(t *testing.T, r *redisRig, due map[pair]string, ends *endings, took time.Duration) {
	t.Helper()
	got := tallyOf(t, r.sim, due)
	t.Logf("%d pushes, %s after the trouble began: %v after %v, %d duplicates", len(due), took.Round(time.Millisecond), ends.counts, ends.met, got.duplicates)
	if len(ends.counts) != 1 || ends.counts["delivered "] != len(due) {
		t.Errorf("not everything was delivered: %v", ends.counts)
	}
	if err := got.missing(); err != nil {
		t.Error(err)
	}
	if len(got.unexpected) > 0 {
		t.Error(some(len(got.unexpected), "unexpected", got.unexpected))
	}
	if got.duplicates > 0 && !c.twice {
		t.Errorf("%d duplicates though Redis lost nothing", got.duplicates)
	}
}

// pushed counts what the simulators took.
func (r *redisRig) pushed(tokens map[push.Platform][]string) int {
	return accepted(r.sim.APNs.Control(), tokens["apns"]) + accepted(r.sim.FCM.Control(), tokens["fcm"])
}

// says waits until readiness gives such a reason for Redis; "" = it is ready.
func (r *redisRig) says(why string) {
	r.t.Helper()
	eventually(r.t, patience, 20*time.Millisecond, "readiness to say "+strconv.Quote(why), func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var answer map[string]string
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return err
		}
		ready := answer["redis"] == "ok"
		if ready != (why == "") || !strings.Contains(answer["redis"], why) || (!ready && resp.StatusCode != http.StatusServiceUnavailable) {
			return fmt.Errorf("%s: %v", resp.Status, answer)
		}
		return nil
	})
}

func (r *redisRig) do(s *redistest.Server, args ...string) string {
	r.t.Helper()
	answer, err := s.Do(r.t.Context(), args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *redisRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *redisRig) set(name, value string) { r.do(r.master, "config", "set", name, value) }
func (r *redisRig) pause()                 { r.must(r.master.Pause()) }
func (r *redisRig) unpause()               { r.must(r.master.Continue()) }
func (r *redisRig) kill()                  { r.master.Kill() }
func (r *redisRig) restart()               { r.must(r.master.Restart(r.t.Context())) }

// load restarts the server with a snapshot that it reads for a few seconds.
func (r *redisRig) load() {
	r.do(r.master, "debug", "populate", "4000", "filler", "100")
	r.do(r.master, "save")
	r.must(r.master.Restart(r.t.Context(), "--key-load-delay", "1000")) // µs a key
}

// evict lets Redis throw users away, and waits until the devices role has seen that.
func (r *redisRig) evict() {
	r.t.Helper()
	r.set("maxmemory-policy", "allkeys-lru")
	r.set("maxmemory", "100mb")
	eventually(r.t, patience, 10*time.Millisecond, "everything to be held", func(context.Context) error {
		if r.do(r.master, "exists", "epoch") != "0" {
			return errors.New("the marker is there")
		}
		return nil
	})
}

// caughtUp waits until the replica has all that the master has.
func (r *redisRig) caughtUp() {
	r.t.Helper()
	offset := func(s *redistest.Server) string {
		_, rest, _ := strings.Cut(r.do(s, "info", "replication"), "master_repl_offset:")
		offset, _, _ := strings.Cut(rest, "\r")
		return offset
	}
	eventually(r.t, patience, 10*time.Millisecond, "the replica to have everything", func(context.Context) error {
		if m, s := offset(r.master), offset(r.replica); m != s {
			return fmt.Errorf("%s of %s", s, m)
		}
		return nil
	})
}

func (r *redisRig) demote() {
	r.do(r.replica, "replicaof", "no", "one")
	r.do(r.master, "replicaof", "127.0.0.1", strconv.Itoa(r.replica.Port()))
}

// follow leads the address to the new master; connections that are there stay with the old one.
func (r *redisRig) follow() { r.proxy.Switch(r.replica.Addr()) }

func (r *redisRig) promote() {
	r.do(r.replica, "replicaof", "no", "one")
	r.follow()
}

// reset ends every connection in the middle of an answer, for a second.
func (r *redisRig) reset() {
	r.proxy.Cut(700)
	r.proxy.Drop()
	time.Sleep(time.Second) // a second of it
}

// TestRedisFailsOverWithoutTheLastLogin: a phone whose login the promoted replica never got is known again without an
// event of its own.
func TestRedisFailsOverWithoutTheLastLogin(t *testing.T) {
	t.Parallel()
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		t.Skip("starts real servers: run scripts/integration ./workers/fleet")
	}
	r := startRedisRig(t, redisTrouble{pair: true})
	r.phones("demo", "apns", 1)
	r.caughtUp()
	r.do(r.replica, "replicaof", "no", "one") // what comes now does not reach it
	phones := r.phones("demo", "fcm", troubleUsers)
	r.master.Kill()
	if got := r.do(r.replica, "exists", "u:{demo|"+userOf("fcm", 0)+"}"); got != "0" {
		t.Fatal("the replica knows the phone")
	}
	r.follow()
	eventually(t, patience, 20*time.Millisecond, "every phone to be known again", func(ctx context.Context) error {
		for i := range phones {
			if devices, err := r.reg.Devices(ctx, "demo", userOf("fcm", i)); err != nil || len(devices) != 1 {
				return fmt.Errorf("user %d has %d devices, %w", i, len(devices), err)
			}
		}
		return nil
	})
	r.says("")
}

// TestRedisClusterTrouble: a master of three is killed while messages flow, and its replica takes over.
func TestRedisClusterTrouble(t *testing.T) {
	t.Parallel()
	if os.Getenv("PUSHFLEET_TEST_REDIS") == "" {
		t.Skip("starts real servers: run scripts/integration ./workers/fleet")
	}
	c, err := redistest.StartCluster(t.Context(), 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	r := &redisRig{}
	r.start(t, c.Addrs())
	phones := r.phones("demo", "apns", 4*troubleUsers)
	due := map[pair]string{}
	for i := range troubleMessages {
		if i == troubleMessages/2 {
			r.awaitEnds(len(due), false)
			c.Servers[0].Kill()
			r.says("connection")
		}
		due[pair{r.text("apns", userOf("apns", i%len(phones)), i), phones[i%len(phones)]}] = userOf("apns", i%len(phones))
	}
	began := time.Now()
	ends := r.awaitEnds(len(due), false)
	r.says("")
	trouble := redisTrouble{twice: true} // what was not replicated yet
	trouble.judge(t, r, due, ends, time.Since(began))
}
