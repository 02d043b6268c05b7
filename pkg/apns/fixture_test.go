package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(simulatorVariable) != "" {
		if err := beSimulator(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	teamID = "DEF123GHIJ"
	keyID  = "ABC123DEFG"
	bundle = "com.example.demo"
)

// block is a part of the configuration, as pkg/config hands it out.
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

// settings are those of the app demo with the credential demo-ios, whose values are changed by change.
func settings(dir string, platform, change map[string]any) push.Settings {
	credential := map[string]any{
		"platform": "apns", "key_file": "AuthKey.p8", "key_id": keyID, "team_id": teamID, "bundle_id": bundle,
	}
	maps.Copy(credential, change)
	return push.Settings{
		Dir:   dir,
		Block: block{"apns", platform},
		Now:   time.Now,
		Apps: map[string]push.AppSettings{"demo": {
			Block:       block{"apps.demo.apns", nil},
			Credentials: map[string]push.Block{"demo-ios": block{"apps.demo.credentials.demo-ios", credential}},
		}},
	}
}

// notification is the contract's first message for bob-iphone.
func notification() *push.Notification {
	return &push.Notification{
		ID: "559a65a7-20e4-51c6-8d2a-d706eca5b40d", App: "demo", User: "bob", Device: "bob-iphone",
		MsgKey:   "c2c:alice:101_900001_1790000000",
		Platform: Platform, Token: strings.Repeat("ab", 32), Credential: "demo-ios", Version: 1,
		Body: "Alice:hello", Ext: `{"page":"chat"}`, Thread: "c2c:alice", Badge: 5, Sound: "ding.caf",
		CollapseID: "559a65a7-20e4-51c6-8d2a-d706eca5b40d",
		Expires:    time.Unix(1790604800, 0), Received: time.Unix(1790000000, 0),
	}
}

// numbered gives notifications for n devices.
func numbered(n int) []*push.Notification {
	batch := make([]*push.Notification, n)
	for i := range batch {
		batch[i] = notification()
		batch[i].Token = fmt.Sprintf("%064x", i+1)
		batch[i].ID = fmt.Sprintf("00000000-0000-5000-8000-%012x", i+1)
		batch[i].CollapseID = batch[i].ID
	}
	return batch
}

// fixture is a simulator and the sender of the one credential that it accepts.
type fixture struct {
	*apnstest.Server
	driver      *driver
	sender      push.Sender
	dir         string // of the driver's files
	url         string
	certificate tls.Certificate
	roots       *x509.CertPool
}

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

type options struct {
	transport string // "" = the default
	simulator apnstest.Config
	platform  map[string]any
	now       func() time.Time // of the driver, and of a simulator that has none
}

func start(t testing.TB, o options) *fixture {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if o.simulator.Certificate, err = authority.ServerCertificate(); err != nil {
		t.Fatal(err)
	}
	key, p8, err := apnstest.NewKey(teamID, keyID, bundle)
	if err != nil {
		t.Fatal(err)
	}
	o.simulator.Keys = append(o.simulator.Keys, key)
	if o.simulator.Now == nil {
		o.simulator.Now = o.now
	}
	server, err := apnstest.Start(o.simulator)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	f := open(t, server.URL(), p8, authority, o)
	f.Server, f.certificate = server, o.simulator.Certificate
	return f
}

// serve puts a handler in the simulator's place.
func serve(t testing.TB, transport string, handler http.HandlerFunc) *fixture {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	_, p8, err := apnstest.NewKey(teamID, keyID)
	if err != nil {
		t.Fatal(err)
	}
	server, err := pushtest.StartServer(pushtest.ServerConfig{Handler: handler, TLS: &certificate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return open(t, server.URL(), p8, authority, options{transport: transport})
}

// open makes the driver for a server.
func open(t testing.TB, url string, p8 []byte, authority *pushtest.Authority, o options) *fixture {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "AuthKey.p8"), p8)
	write(t, filepath.Join(dir, "ca.pem"), authority.CAPEM())
	platform := map[string]any{"endpoint": url, "ca_file": "ca.pem"}
	if o.transport != "" {
		platform["transport"] = o.transport
	}
	maps.Copy(platform, o.platform)
	s := settings(dir, platform, nil)
	if o.now != nil {
		s.Now = o.now
	}
	opened, err := Kind().Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	got, err := opened.Sender("demo", "demo-ios")
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{driver: opened.(*driver), sender: got, dir: dir, url: url, roots: authority.Pool()}
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// send returns the outcomes in the batch's order, and fails where an item has none or two.
func (f *fixture) send(t testing.TB, ctx context.Context, batch ...*push.Notification) []push.Outcome {
	t.Helper()
	type reported struct {
		i int
		o push.Outcome
	}
	reports := make(chan reported, 2*len(batch))
	f.sender.Send(ctx, batch, func(i int, o push.Outcome) { reports <- reported{i, o} })
	close(reports)
	outcomes := make([]push.Outcome, len(batch))
	var seen []int
	for r := range reports {
		outcomes[r.i] = r.o
		seen = append(seen, r.i)
	}
	slices.Sort(seen)
	for i := range batch {
		if i >= len(seen) || seen[i] != i {
			t.Fatalf("reports came for the items %v, want each of %d once", seen, len(batch))
		}
	}
	return outcomes
}

func (f *fixture) script(t testing.TB, token string, answers ...pushtest.Answer) {
	t.Helper()
	if err := f.Control().Script.Put(token, answers); err != nil {
		t.Fatal(err)
	}
}

// soon is a context for what must not take long.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
