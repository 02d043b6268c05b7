package registry

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
)

func TestMain(m *testing.M) {
	// A pool that found nobody at its address looks again every second, and sees only then that it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// TestConformance holds every backend to the same promises. Each case has an app, and so keys, of its own.
func TestConformance(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		test func(t *testing.T, f *fixture)
	}{
		{"row 4: presence", testRow4Presence},
		{"presence in any order", testPresenceInAnyOrder},
		{"presence and ties", testPresenceTies},
		{"badge", testBadge},
		{"row 2: unread", testRow2Unread},
		{"row 2: an unread report keeps what came after it", testRow2AnUnreadReportKeepsWhatCameAfterIt},
		{"claim", testClaim},
		{"claims are bounded", testClaimsAreBounded},
		{"replay", testReplay},
		{"devices are decided one by one", testDecideDevices},
		{"row 14: counted once", testRow14CountedOnce},
		{"row 14: what is filtered does not count", testRow14FilteredDoesNotCount},
		{"row 14: never 0", testRow14NeverZero},
		{"row 14: a late unread report", testRow14LateUnread},
		{"row 14: a late unread report after many messages", testRow14LateUnreadAfterManyMessages},
		{"unread reports are small", testUnreadReportsAreSmall},
		{"counted messages are bounded", testCountedMessagesAreBounded},
		{"read", testRead},
		{"calls", testCalls},
		{"service channel", testServiceChannel},
		{"row 24: recalled while queued", testRow24RecalledWhileQueued},
		{"row 24: recalled does not count", testRow24RecalledDoesNotCount},
		{"row 24: replaces what was shown", testRow24ReplacesWhatWasShown},
		{"row 24: shown", testRow24Shown},
		{"row 18: receive options", testRow18ReceiveOptions},
		{"row 18: do not disturb", testRow18DoNotDisturb},
		{"row 18: do not disturb in summer", testRow18DoNotDisturbInSummer},
		{"row 18: push off and sounds", testRow18PushOffAndSounds},
		{"row 18: settings while queued", testRow18SettingsWhileQueued},
		{"row 23: one reason each", testRow23OneReasonEach},
		{"a device in the foreground silences the others", testAnyForeground},
		{"row 1: bindings", testRow1Bindings},
		{"row 1: VoIP token and service", testRow1VoIPTokenAndService},
		{"row 1: VoIP token moves", testRow1VoIPTokenMoves},
		{"repeated events", testRepeatedEvents},
		{"token moves", testTokenMoves},
		{"token moves in any order", testTokenMovesInAnyOrder},
		{"token moves through several hands", testTokenChain},
		{"token is kept from the app next door", testTokenOfAnotherApp},
		{"row 20: rejected token", testRow20RejectedToken},
		{"row 20: rejected VoIP token", testRow20RejectedVoIPToken},
		{"too many devices", testTooManyDevices},
		{"awkward ids", testAwkwardIDs},
		{"admit", testAdmit},
		{"admit and settle", testSettle},
		{"admit after the device changed", testAdmitChangedDevice},
		{"restore", testRestore},
		{"restored tokens", testRestoredTokens},
		{"restored VoIP token", testRestoredVoIPToken},
		{"row 18: settings events", testRow18SettingsEvents},
		{"row 18: settings in one batch", testRow18SettingsInOneBatch},
		{"row 18: daily do not disturb follows the zone's clock", testRow18DailyDoNotDisturbFollowsTheZonesClock},
		{"row 18: options are bounded", testRow18OptionsAreBounded},
		{"row 18: settings are restored", testRow18SettingsAreRestored},
		{"row 18: unknown zone", testRow18UnknownZone},
		{"row 11: default sounds", testRow11DefaultSounds},
		{"show", testDevices},
		{"damaged user", testDamagedUser},
		{"damaged settings", testDamagedSettings},
		{"rebuild", testRebuild},
		{"recall", testRow24Recall},
		{"recalls end", testRecallsEnd},
		{"recalls are bounded", testRecallsAreBounded},
		{"membership as of the message's time", testMembershipAsOfTheMessagesTime},
		{"those who left are forgotten", testThoseWhoLeftAreForgotten},
		{"wrong memberships", testWrongMemberships},
		{"awkward groups", testAwkwardGroups},
		{"everybody exactly once", testEverybodyExactlyOnce},
		{"a restored group is smaller", testRestoredGroupIsSmaller},
		{"several writers of one group", testSeveralWritersOfOneGroup},
		{"two split at once", testTwoSplitAtOnce},
	}
	for _, b := range backends(t) {
		r := newRegistry(b.client, b.cluster, Options{})
		b.client.AddHook(&checker{t: t, strict: b.cluster})
		if err := r.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			t.Run("unknown scripts", func(t *testing.T) { testUnknownScripts(t, newFixture(t, r)) }) // before all that need them
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, newFixture(t, r))
				})
			}
		})
	}
}

// backend is one Redis that the conformance suite runs on.
type backend struct {
	name    string
	client  redis.UniversalClient
	cluster bool // markers in every slot, keys checked strictly
}

// backends are an embedded server in both layouts of the markers and, where the environment names them, real servers.
func backends(t *testing.T) []backend {
	t.Helper()
	all := []backend{
		{name: "embedded", client: dial(t, serve(t), 0)},
		{name: "embedded with cluster keys", client: dial(t, serve(t), 0), cluster: true},
	}
	if addr := os.Getenv("PUSHFLEET_TEST_REDIS"); addr != "" {
		all = append(all, backend{name: "redis", client: dial(t, addr, testDB)})
	}
	if addrs := os.Getenv("PUSHFLEET_TEST_REDIS_CLUSTER"); addrs != "" {
		all = append(all, backend{name: "cluster", client: dialCluster(t, addrs), cluster: true})
	}
	return all
}

// dialCluster connects to a real cluster as the product does.
func dialCluster(t testing.TB, addrs string) redis.UniversalClient {
	t.Helper()
	r, err := Open(Config{Addrs: strings.Split(addrs, ",")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.client
}

// testDB keeps the suite away from whatever else uses the same real server.
const testDB = 9

func serve(t testing.TB) string {
	t.Helper()
	server, err := embedded.Start(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.Addr()
}

func dial(t testing.TB, addr string, db int) redis.UniversalClient {
	client := redis.NewClient(&redis.Options{Addr: addr, DB: db, MaxRetries: -1, PoolSize: 8, ReadTimeout: time.Minute, PoolTimeout: time.Minute})
	t.Cleanup(func() { client.Close() })
	return client
}

// fixture is a registry with a clock in the test's hand, and an app that nobody else has.
type fixture struct {
	*Registry
	t   *testing.T
	app string
	now time.Time
}

var appNumber atomic.Int64

func newFixture(t *testing.T, r *Registry) *fixture {
	t.Helper()
	f := &fixture{t: t, now: start}
	f.app = "app" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.FormatInt(appNumber.Add(1), 10)
	opts := Options{Now: func() time.Time { return f.now }}
	f.Registry = &Registry{client: r.client, scripts: r.scripts, markers: r.markers, opts: opts.withDefaults()}
	return f
}

// start is the tests' beginning of time.
var start = time.UnixMilli(1_790_000_000_000)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// event is one event of bob's phone, unless changed.
func (f *fixture) event(kind EventKind, seconds float64, change ...func(*DeviceEvent)) DeviceEvent {
	e := DeviceEvent{App: f.app, User: "bob", Device: "phone", Event: kind, EventTime: at(seconds)}
	for _, c := range change {
		c(&e)
	}
	return e
}

func token(value string) func(*DeviceEvent) {
	return func(e *DeviceEvent) { e.Token, e.Platform = &value, "apns" }
}

func of(user, device string) func(*DeviceEvent) {
	return func(e *DeviceEvent) { e.User, e.Device = user, device }
}

func unread(n int) func(*DeviceEvent)        { return func(e *DeviceEvent) { e.Unread = &n } }
func state(s string) func(*DeviceEvent)      { return func(e *DeviceEvent) { e.State = s } }
func version(n int64) func(*DeviceEvent)     { return func(e *DeviceEvent) { e.Version = n } }
func credential(s string) func(*DeviceEvent) { return func(e *DeviceEvent) { e.Credential = &s } }

func (f *fixture) apply(events ...DeviceEvent) []Applied {
	f.t.Helper()
	applied, err := f.Apply(f.t.Context(), events)
	if err != nil {
		f.t.Fatal(err)
	}
	return applied
}

// message is a decide request for bob, unlike any other.
func (f *fixture) message(change ...func(*DecideRequest)) DecideRequest {
	n := strconv.FormatInt(appNumber.Add(1), 10)
	q := DecideRequest{
		App: f.app, User: "bob", Origin: "im.messages/0/" + n, Counts: true, RecordTime: f.now, MsgKey: "c2c:alice:" + n,
		Claim: Claim{Key: n, Content: "0a0b0c0d", MsgTime: 1790000000, Window: 120 * time.Second},
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

func (f *fixture) decide(requests ...DecideRequest) []Decision {
	f.t.Helper()
	decisions, err := f.Decide(f.t.Context(), requests)
	if err != nil {
		f.t.Fatal(err)
	}
	return decisions
}

// reason decides a new message and returns the reason of bob's only device.
func (f *fixture) reason() push.Reason {
	f.t.Helper()
	d := f.decide(f.message())[0]
	if len(d.Devices) != 1 {
		f.t.Fatalf("bob has %d devices, want 1", len(d.Devices))
	}
	return d.Devices[0].Reason
}

// binding is the full state of one device.
func (f *fixture) binding(user, device string) State {
	f.t.Helper()
	all, err := f.client.Get(f.t.Context(), userKey(userTag(f.app, user))).Result()
	if err != nil {
		f.t.Fatalf("user %s: %v", user, err)
	}
	_, packed, known := strings.Cut(all, record+device+unit)
	if !known {
		f.t.Fatalf("%s has no device %s", user, device)
	}
	packed, _, _ = strings.Cut(packed, record)
	fields := strings.SplitN(packed, unit, 8)
	s, err := parseState(f.app, user, device, fields[5]+unit+fields[7])
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// checker refuses scripts whose keys cross hash tags, as a cluster would, and counts what is sent.
type checker struct {
	t      *testing.T
	strict bool // the marker too has to be in the slot
	calls  atomic.Int64
	trips  atomic.Int64
}

func (c *checker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *checker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips.Add(1)
		if err := c.check(cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (c *checker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips.Add(1)
		for _, cmd := range cmds {
			if err := c.check(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (c *checker) check(cmd redis.Cmder) error {
	c.calls.Add(1)
	if cmd.Name() != "evalsha" {
		return nil
	}
	args := cmd.Args()
	slot := -1
	for _, arg := range args[3 : 3+args[2].(int)] {
		key := arg.(string)
		if key == "epoch" && !c.strict {
			continue
		}
		if at := slotOf(hashTag(key)); slot == -1 {
			slot = at
		} else if at != slot {
			c.t.Errorf("the keys of one script cross slots: %q", args[3:3+args[2].(int)])
			return errors.New("CROSSSLOT")
		}
	}
	return nil
}

// hashTag is what Redis Cluster hashes of a key.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
