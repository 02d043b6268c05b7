package fcm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/fcm"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestMain(m *testing.M) {
	if latency := os.Getenv(simulatorVariable); latency != "" {
		if err := simulate(latency); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const project = "demo-project"

// now is the clock of every driver here: that of the examples in the contracts.
var now = time.Unix(1790000000, 0)

// block is a section of a configuration.
type block struct {
	path   string
	values map[string]any
}

func (b block) Path() string { return b.path }

func (b block) Decode(v any) error {
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: v, TagName: "koanf", ErrorUnused: true})
	if err != nil {
		return err
	}
	if err := decoder.Decode(b.values); err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}

// settings has one app, demo, with one credential, demo-android.
func settings(platform, app, credential map[string]any) push.Settings {
	return push.Settings{
		Dir:   ".",
		Block: block{"fcm", platform},
		Apps: map[string]push.AppSettings{"demo": {
			Block:       block{"apps.demo.fcm", app},
			Credentials: map[string]push.Block{"demo-android": block{"apps.demo.credentials.demo-android", credential}},
		}},
		Now: func() time.Time { return now },
	}
}

var anyKey = map[string]any{"platform": "fcm", "service_account_file": "sa.json"}

func open(t testing.TB, s push.Settings) push.Driver {
	t.Helper()
	driver, err := fcm.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}

// transports are the settings of the driver that are tested and measured.
var transports = []string{"h2", "std"}

// over runs a test on each transport.
func over(t *testing.T, test func(t *testing.T, transport string)) {
	t.Helper()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			test(t, transport)
		})
	}
}

// on is a platform block with nothing but a transport.
func on(transport string) map[string]any { return map[string]any{"transport": transport} }

// account is one throw-away account for all tests: its key takes long to make.
var account = sync.OnceValues(func() (map[string]any, error) {
	data, err := fcmtest.NewServiceAccount(project, "https://localhost/token")
	if err != nil {
		return nil, err
	}
	var file map[string]any
	return file, json.Unmarshal(data, &file)
})

// accountJSON is the account with other values.
func accountJSON(t testing.TB, values map[string]any) []byte {
	t.Helper()
	original, err := account()
	if err != nil {
		t.Fatal(err)
	}
	file := make(map[string]any)
	for key, value := range original {
		file[key] = value
	}
	for key, value := range values {
		file[key] = value
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// world is a simulator and a driver that talks to it.
type world struct {
	*fcmtest.Simulator
	driver push.Driver
	sender push.Sender
}

func newWorld(t testing.TB, cfg fcmtest.Config, platform map[string]any) *world {
	t.Helper()
	simulator, file := start(t, cfg)
	return worldWithKey(t, simulator, platform, file)
}

// start is a simulator and the key of the one account that it trusts.
func start(t testing.TB, cfg fcmtest.Config) (*fcmtest.Simulator, []byte) {
	t.Helper()
	simulator, err := fcmtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := simulator.Close(); err != nil {
			t.Error(err)
		}
	})
	file := accountJSON(t, map[string]any{"token_uri": simulator.TokenURI()})
	if err := simulator.Trust(file); err != nil {
		t.Fatal(err)
	}
	return simulator, file
}

func worldWithKey(t testing.TB, simulator *fcmtest.Simulator, platform map[string]any, file []byte) *world {
	t.Helper()
	return connect(t, simulator, file, settings(platform, nil, anyKey))
}

// connect opens the driver of s for a simulator.
func connect(t testing.TB, simulator *fcmtest.Simulator, file []byte, s push.Settings) *world {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sa.json"), file)
	write(t, filepath.Join(dir, "ca.pem"), simulator.CAPEM())
	all := map[string]any{"endpoint": simulator.URL(), "ca_file": "ca.pem"}
	maps.Copy(all, s.Block.(block).values)
	s.Block, s.Dir = block{"fcm", all}, dir
	w := &world{Simulator: simulator, driver: open(t, s)}
	var err error
	if w.sender, err = w.driver.Sender("demo", "demo-android"); err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hello is the first message of the contracts, for bob-pixel.
func hello() *push.Notification {
	return &push.Notification{
		ID: "9016f4b9-65ec-5c54-b229-c59682517983", App: "demo", User: "bob", Device: "bob-pixel",
		MsgKey:   "c2c:alice:101_900001_1790000000",
		Platform: "fcm", Token: "bob-pixel-token", Credential: "demo-android",
		Body: "Alice:hello", Ext: `{"page":"chat"}`, Thread: "c2c:alice", Badge: 5, Sound: "ding.caf",
		CollapseID: "9016f4b9-65ec-5c54-b229-c59682517983", Expires: time.Unix(1790604800, 0),
	}
}

// leaves takes joined errors apart.
func leaves(err error) []string {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &joined):
		return []string{err.Error()}
	}
	var all []string
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}
