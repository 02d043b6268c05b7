package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

const (
	apns push.Platform = "apns"
	fcm  push.Platform = "fcm"
)

const oneApp = "apps: {demo: {}}\n"

// loadText loads a configuration file with the given text.
func loadText(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushfleet.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(path, []push.Platform{apns, fcm}, func() []string { return environ })
}

func mustLoad(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := loadText(t, text, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mistakesOf returns the lines of the error that a configuration is refused with.
func mistakesOf(t *testing.T, text string, environ ...string) []string {
	t.Helper()
	_, err := loadText(t, text, environ...)
	if err == nil {
		t.Fatal("loaded without an error")
	}
	return strings.Split(err.Error(), "\n")
}

func TestAppsAloneAreAWholeConfiguration(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, oneApp)
	want := &Config{
		Kafka:      Kafka{Brokers: []string{"127.0.0.1:9092"}, Group: "pushfleet", Start: StartLatest, MaxAge: 24 * time.Hour},
		Redis:      Redis{Addrs: []string{"127.0.0.1:6379"}},
		API:        API{Listen: "127.0.0.1:8080", TokensFile: filepath.Join(got.Dir, "tokens")},
		DefaultApp: "demo",
		Presence:   Presence{ForegroundLease: 400 * time.Second, ActivityLimit: 168 * time.Hour, MaxLag: 2 * time.Second},
		Retry: Retry{
			Delays:      []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour},
			MaxAttempts: 8, Park: time.Minute, Grace: time.Hour,
		},
		Brake:    Brake{Rejections: 20, Percent: 50},
		Lanes:    map[push.Lane]int{push.LaneUrgent: 8, push.LaneNormal: 4, push.LaneBulk: 1},
		Topics:   Topics{Partitions: 4, Replication: 1},
		Limits:   Limits{InFlight: 20000, InFlightBytes: 64 * MiB},
		Timeline: Timeline{TTL: 24 * time.Hour, Bytes: 256 * MiB, MessageBytes: 256 * KiB, Sample: 1, Redis: Redis{Addrs: []string{}}},
		Shutdown: Shutdown{Grace: 12 * time.Second},
		Log:      Log{Level: "info", Format: "json"},
		Apps:     got.Apps,
		Dir:      got.Dir,
	}
	want.platforms = got.platforms
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Config{}, App{}, block{})); diff != "" {
		t.Error(diff)
	}
}

func TestTheFileOverridesDefaultsAndTheEnvironmentBoth(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, oneApp+`
kafka: {brokers: ["a:1", "b:2"], prefix: eu.}
retry: {delays: [5s]}
lanes: {bulk: 2}
presence: # every line below is commented out
`,
		"PUSHFLEET_KAFKA_BROKERS=x:1, y:2",
		"PUSHFLEET_PRESENCE_FOREGROUND_LEASE=300s",
		"PUSHFLEET_RETRY_DELAYS=2s,4s",
		"PUSHFLEET_RETRY_MAX_ATTEMPTS=3",
		"PUSHFLEET_REDIS_TLS=true",
		"PUSHFLEET_LIMITS_IN_FLIGHT_BYTES=8MiB",
		"PUSHFLEET_LANES_URGENT=9",
		"PUSHFLEET_DEFAULT_APP=demo",
		"HOME=/root",
	)
	got := []any{
		c.Kafka.Brokers, c.Kafka.Prefix, c.Kafka.Group, c.Presence.ForegroundLease, c.Presence.ActivityLimit,
		c.Retry.Delays, c.Retry.MaxAttempts, c.Redis.TLS, c.Limits.InFlightBytes, c.Lanes,
	}
	want := []any{
		[]string{"x:1", "y:2"}, "eu.", "pushfleet", 300 * time.Second, 168 * time.Hour,
		[]time.Duration{2 * time.Second, 4 * time.Second}, 3, true, 8 * MiB,
		map[push.Lane]int{push.LaneUrgent: 9, push.LaneNormal: 4, push.LaneBulk: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOfTheEnvironmentOnlyWhatIsOursIsRead(t *testing.T) {
	t.Parallel()
	mustLoad(t, oneApp,
		"PUSHFLEET_TEST_SERVER=127.0.0.1:1",
		"PUSHFLEET_API_SERVICE_HOST=10.0.0.1", "PUSHFLEET_API_SERVICE_PORT_HTTP=80",
		"PUSHFLEET_API_PORT=tcp://10.0.0.1:80", "PUSHFLEET_PORT_80_TCP_ADDR=10.0.0.1",
	)
	want := []string{
		"PUSHFLEET_APPS_DEMO: no key of that name in the configuration",
		"PUSHFLEET_KAFKA_BROKER: no key of that name in the configuration",
		"redis.tls: expected true or false",
	}
	got := mistakesOf(t, oneApp, "PUSHFLEET_APPS_DEMO=x", "PUSHFLEET_KAFKA_BROKER=x:1", "PUSHFLEET_REDIS_TLS=maybe")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryMistakeIsReportedWithItsPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"no apps", "", []string{"apps: at least one app is needed"}},
		{"apps of another kind", "apps: [demo]", []string{"apps: expected a section of keys", "apps: at least one app is needed"}},
		{"unknown keys", "kafkas: {}\napps: {demo: {credential: {}}}\nredis: {addr: x, TLS: true}", []string{
			"apps.demo.credential: unknown key", "kafkas: unknown key", "redis.TLS: unknown key", "redis.addr: unknown key",
		}},
		{"an unknown platform", "apps: {demo: {huawei: {}, credentials: {a: {platform: huawei}, b: {}}}}", []string{
			"apps.demo.credentials.a.platform: expected one of apns, fcm",
			"apps.demo.credentials.b.platform: expected one of apns, fcm",
			"apps.demo.huawei: unknown key",
		}},
		{"values of another type", oneApp + "kafka: {brokers: {a: 1}, max_age: 24, group: 7}\ntopics: {partitions: four}\nredis: 5\nlimits: {in_flight_bytes: 64MB}\napns: on", []string{
			"apns: expected a section of keys",
			"kafka.brokers: expected a list",
			"kafka.group: expected text, in quotes where it looks like a number",
			`kafka.max_age: expected a duration with its unit, as "10s"`,
			`limits.in_flight_bytes: expected a size, as "64MiB"`,
			"redis: expected a section of keys",
			"topics.partitions: expected a number",
		}},
		{"values out of range", oneApp + `
kafka: {brokers: ["nowhere", "h:99999"], prefix: "eu/", group: "", start: newest, max_age: 0s}
redis: {addrs: []}
api: {listen: "8080", tokens_file: ""}
health: {listen: here}
presence: {foreground_lease: -1s, activity_limit: 1s, max_lag: 0s}
retry: {delays: [1m, 10s, 1500ms], max_attempts: 0, park: 0s, grace: -1s}
brake: {rejections: 0, percent: 101}
lanes: {bulk: 0, slow: 3}
topics: {partitions: 0, replication: 0}
limits: {in_flight: 0, in_flight_bytes: 1MiB}
shutdown: {grace: 20s}
log: {level: loud, format: xml}`, []string{
			`kafka.brokers[0]: expected host:port, found "nowhere"`,
			`kafka.brokers[1]: expected host:port, found "h:99999"`,
			"kafka.prefix: a topic's name takes letters, digits, full stop, underscore and hyphen",
			"kafka.group: expected a name",
			"kafka.start: expected one of latest, earliest",
			"kafka.max_age: expected at least 1s",
			"redis.addrs: expected at least one host:port",
			`api.listen: expected host:port, found "8080"`,
			"api.tokens_file: expected a file name",
			`health.listen: expected host:port, found "here"`,
			"presence.foreground_lease: expected at least 1s",
			"presence.max_lag: expected at least 1ms",
			"retry.delays[1]: expected more than the delay before it",
			"retry.delays[2]: expected whole seconds, at least 1s: the delay is part of a topic's name",
			"retry.delays[2]: expected more than the delay before it",
			"retry.max_attempts: expected at least 1",
			"retry.park: expected at least 1s",
			"retry.grace: expected at least 0s",
			"brake.rejections: expected 1 to 100",
			"brake.percent: expected 1 to 100",
			"lanes.bulk: expected a weight from 1 to 100",
			"lanes.slow: unknown key: the lanes are urgent, normal, bulk",
			"topics.partitions: expected at least 1",
			"topics.replication: expected at least 1",
			"limits.in_flight: expected at least 1",
			"limits.in_flight_bytes: expected at least 4MiB, for a few of the largest records",
			"shutdown.grace: expected more than 0s, at most 14s",
			"log.level: expected one of debug, info, warn, error",
			"log.format: expected one of json, console",
		}},
		{"an app's own keys", "apps: {demo: {privacy: 1, foreground_silences: user, rate: many, service_wait: 10}, other: {foreground_silences: all, rate: -1, service_wait: 2h}}", []string{
			"apps.demo.privacy: expected true or false",
			"apps.demo.rate: expected a number",
			`apps.demo.service_wait: expected a duration with its unit, as "10s"`,
			"apps.other.foreground_silences: expected one of device, user",
			"apps.other.rate: expected 0 for no limit, or at most 1000000",
			"apps.other.service_wait: expected from 1s to 1h0m0s",
		}},
		{"a default app that is none", "apps: {a: {}}\ndefault_app: b", []string{`default_app: "b" is not one of the apps`}},
		{"several apps and no default", "apps: {a: {}, b: {}}", []string{"default_app: with several apps one has to be named: a, b"}},
		{"a name with a control character", "apps: {\"a\\tb\": {}}", []string{
			"apps.a\tb: a name has 1 to 128 bytes of UTF-8 without control characters",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := mistakesOf(t, tc.text)
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent.yml")
	if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("absent file: %v", err)
	}
	for _, text := range []string{"apps: {", "apps: {}\napps: {}", "- a"} {
		if _, err := loadText(t, text); err == nil || !strings.Contains(err.Error(), "pushfleet.yml: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSettingsHandEachPlatformItsBlocks(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
default_app: demo
apps:
  demo:
    fcm: {style: data}
    credentials:
      com.example.ios: {platform: apns, key_id: K}
      android: {platform: fcm, key_id: L}
  1400000000:
fcm: {timeout: 3s}
`, "PUSHFLEET_APNS_CA_FILE=ca.pem", "PUSHFLEET_FCM_CONNECTIONS=3")
	type blockOf struct {
		Path  string
		Style string
		KeyID string
	}
	read := func(b push.Block) blockOf {
		var v struct {
			Style string `koanf:"style"`
			KeyID string `koanf:"key_id"`
		}
		if err := b.Decode(&v); err != nil {
			t.Error(err)
		}
		return blockOf{b.Path(), v.Style, v.KeyID}
	}
	got := map[string]blockOf{}
	for app, s := range c.Settings(fcm, time.Now).Apps {
		got[app] = read(s.Block)
		for name, b := range s.Credentials {
			got[app+" "+name] = read(b)
		}
	}
	for name, b := range c.Settings(apns, time.Now).Apps["demo"].Credentials {
		got["apns "+name] = read(b)
	}
	want := map[string]blockOf{
		"demo":                 {"apps.demo.fcm", "data", ""},
		"demo android":         {"apps.demo.credentials.android", "", "L"},
		"apns com.example.ios": {"apps.demo.credentials.com.example.ios", "", "K"},
		"1400000000":           {"apps.1400000000.fcm", "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	var top struct {
		CAFile      string        `koanf:"ca_file"`
		Timeout     time.Duration `koanf:"timeout"`
		Connections int           `koanf:"connections"`
	}
	for _, p := range []push.Platform{apns, fcm} {
		if err := c.Settings(p, time.Now).Block.Decode(&top); err != nil {
			t.Error(err)
		}
	}
	if top.CAFile != "ca.pem" || top.Timeout != 3*time.Second || top.Connections != 3 {
		t.Errorf("top-level blocks: %+v", top)
	}
}

func TestAnAppChoosesItsPolicies(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
default_app: quiet
apps:
  quiet: {privacy: true, foreground_silences: user, rate: 500, service_wait: 30s}
  plain:
  free: {rate: 0}
`)
	if single := mustLoad(t, "apps: {demo: }"); single.Apps["demo"].Rate != 0 {
		t.Errorf("a single app has the rate %d", single.Apps["demo"].Rate)
	}
	type policy struct {
		Privacy     bool
		Silences    Silences
		Rate        int
		ServiceWait time.Duration
	}
	got := map[string]policy{}
	for name, a := range c.Apps {
		got[name] = policy{a.Privacy, a.ForegroundSilences, a.Rate, a.ServiceWait}
	}
	want := map[string]policy{
		"quiet": {true, SilencesUser, 500, 30 * time.Second},
		"plain": {false, SilencesDevice, 1000, 10 * time.Second},
		"free":  {false, SilencesDevice, 0, 10 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestABlockIsDecodedStrictly(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "apps: {demo: {credentials: {ios: {platform: apns, key_id: 12345, ports: [1, x], extra: {a: 1}}}}}")
	v := struct {
		KeyID string `koanf:"key_id"`
		Ports []int  `koanf:"ports"`
		Keep  string `koanf:"keep"`
	}{Keep: "default"}
	err := c.Settings(apns, time.Now).Apps["demo"].Credentials["ios"].Decode(&v)
	if err == nil {
		t.Fatal("decoded without an error")
	}
	want := []string{
		"apps.demo.credentials.ios.extra: unknown key",
		"apps.demo.credentials.ios.key_id: expected text, in quotes where it looks like a number",
		"apps.demo.credentials.ios.ports[1]: expected a number",
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Keep != "default" {
		t.Errorf("absent key changed its field to %q", v.Keep)
	}
}

func TestTheExampleShowsEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	const example = "../../config.example.yml"
	if _, err := load(example, []push.Platform{apns, fcm}, func() []string { return nil }); err != nil {
		t.Fatal(err)
	}
	shown, defaults := koanf.New("."), koanf.New(".")
	if err := shown.Load(file.Provider(example), yaml.Parser()); err != nil {
		t.Fatal(err)
	}
	parsed, err := yaml.Parser().Unmarshal(defaultsYAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := defaults.Load(confmap.Provider(parsed, ""), nil); err != nil {
		t.Fatal(err)
	}
	if shown.String("default_app") != "demo" {
		t.Error("the example names no default app")
	}
	for _, open := range []string{"apps", "apns", "fcm", "default_app"} {
		shown.Delete(open)
		defaults.Delete(open)
	}
	if diff := cmp.Diff(defaults.All(), shown.All()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryKeyHasOneEnvironmentVariable(t *testing.T) {
	t.Parallel()
	parsed, err := yaml.Parser().Unmarshal(defaultsYAML)
	if err != nil {
		t.Fatal(err)
	}
	k := koanf.New(delimiter)
	if err := k.Load(confmap.Provider(parsed, ""), nil); err != nil {
		t.Fatal(err)
	}
	names := envNames(k.Keys())
	if len(names) != len(k.Keys()) {
		t.Errorf("%d keys share %d names", len(k.Keys()), len(names))
	}
	for name := range names {
		if foreignEnv.MatchString(name) {
			t.Errorf("%s is taken for another program's", name)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{"1": 1, "64KiB": 64 * KiB, "2 GiB": 2 * GiB, "0": 0} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "64MB", "9223372036854775807KiB"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q: %d without an error", text, got)
		}
	}
}
