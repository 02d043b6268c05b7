package apns

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// load sends without a pause from several goroutines, and keeps what became of it.
type load struct {
	sender push.Sender
	sent   atomic.Int64
	mu     sync.Mutex
	failed []push.Outcome
	ctx    context.Context
	stop   context.CancelFunc
	run    sync.WaitGroup
}

func startLoad(t *testing.T, s push.Sender) *load {
	t.Helper()
	const callers, size = 4, 25
	l := &load{sender: s}
	l.ctx, l.stop = context.WithCancel(context.Background())
	t.Cleanup(l.end)
	for range callers {
		l.run.Go(func() {
			batch := numbered(size)
			for l.ctx.Err() == nil {
				l.sender.Send(context.Background(), batch, func(_ int, o push.Outcome) {
					l.sent.Add(1)
					if o.Disposition != push.Delivered {
						l.mu.Lock()
						defer l.mu.Unlock()
						l.failed = append(l.failed, o)
					}
				})
			}
		})
	}
	return l
}

func (l *load) end() {
	l.stop()
	l.run.Wait()
}

// more waits until n more were answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	until(t, "pushes are answered", func() bool { return l.sent.Load() >= n })
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// state is that of the one credential after so many looks at its files.
func state(t *testing.T, d *driver, looks int) push.CredentialState {
	t.Helper()
	var states []push.CredentialState
	for range looks {
		states = d.RefreshCredentials()
	}
	if len(states) != 1 {
		t.Fatalf("got %d states", len(states))
	}
	return states[0]
}

// TestAKeyIsReplacedUnderLoad: every push is taken once, the key before is forgotten, and the new one signs.
func TestAKeyIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		const secondID = "NEWKEY4567"
		second, secondP8, err := apnstest.NewKey(teamID, secondID, bundle)
		if err != nil {
			t.Fatal(err)
		}
		f := start(t, options{transport: transport, simulator: apnstest.Config{Keys: []apnstest.Key{second}, Latency: 5 * time.Millisecond}})
		keyed := settings(f.dir, map[string]any{"endpoint": f.url, "ca_file": "ca.pem"}, map[string]any{"key_id": "", "key_id_file": "id"})
		write(t, filepath.Join(f.dir, "id"), []byte(keyID+"\n"))
		opened, err := Open(keyed)
		if err != nil {
			t.Fatal(err)
		}
		d := opened.(*driver)
		defer d.Close()
		sender, err := d.Sender("demo", "demo-ios")
		if err != nil {
			t.Fatal(err)
		}
		l := startLoad(t, sender)
		l.more(t, 500)

		write(t, filepath.Join(f.dir, "AuthKey.p8"), secondP8)
		write(t, filepath.Join(f.dir, "id"), []byte(secondID+"\n"))
		if got := state(t, d, 2); got.KeyID != secondID || got.Problem != "" {
			t.Errorf("after the change: %+v", got)
		}
		until(t, "the key before is forgotten", func() bool { return slices.Equal(d.keyIDs(), []string{secondID}) })
		l.more(t, l.sent.Load()+500)
		l.end()
		if len(l.failed) > 0 {
			t.Errorf("%d of %d failed, as %+v", len(l.failed), l.sent.Load(), l.failed[0])
		}
		if got := int64(f.Control().Ledger.Counts().Requests); got != l.sent.Load() {
			t.Errorf("the simulator got %d requests for %d pushes", got, l.sent.Load())
		}
		if again, err := d.Sender("demo", "demo-ios"); err != nil || again != sender {
			t.Errorf("another sender, or %v", err)
		}

		_, unknown, err := apnstest.NewKey(teamID, "UNKNOWN890")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(f.dir, "AuthKey.p8"), unknown)
		state(t, d, 2)
		var refused push.Outcome
		sender.Send(soon(t), numbered(1), func(_ int, o push.Outcome) { refused = o })
		if refused.Reason != push.ReasonCredentialRefused {
			t.Errorf("a key that the simulator does not know: %+v", refused)
		}
	})
}

// keyIDs are those that sign, sorted.
func (d *driver) keyIDs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for name := range d.signers {
		ids = append(ids, name.key)
	}
	slices.Sort(ids)
	return ids
}

// TestABadKeyChangesNothing: what is sent goes on with the key before.
func TestABadKeyChangesNothing(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, transport string) {
		f := start(t, options{transport: transport})
		before := state(t, f.driver, 1)
		write(t, filepath.Join(f.dir, "AuthKey.p8"), []byte("secret garbage"))
		got := state(t, f.driver, 2)
		want := before
		want.Problem = filepath.Join(f.dir, "AuthKey.p8") + ": not a PEM file"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if o := f.send(t, soon(t), notification())[0]; o.Disposition != push.Delivered {
			t.Errorf("got %+v", o)
		}
	})
}

// certificates is a server that wants a client's certificate and counts pushes by its serial number.
type certificates struct {
	*httptest.Server
	authority *pushtest.Authority
	mu        sync.Mutex
	pushes    map[int64]int
	tokens    int // requests with a provider token
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	own, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{authority: authority, pushes: make(map[int64]int)}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pushes[r.TLS.PeerCertificates[0].SerialNumber.Int64()]++
		if r.Header.Get("Authorization") != "" {
			c.tokens++
		}
	}))
	c.EnableHTTP2 = true
	c.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *certificates) counts() (first, second, tokens int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pushes[1], c.pushes[2], c.tokens
}

// p12 is a certificate for the app with a serial number.
func p12(t *testing.T, serial int64, expires time.Time) []byte {
	t.Helper()
	content, err := credentialtest.Certificate{BundleID: bundle, TeamID: teamID, Production: true, Universal: true, Serial: serial,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: expires}.P12("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestACertificateIsReplacedUnderLoad: connections are made anew with the new one, those before carry what they have.
func TestACertificateIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	server := newCertificates(t)
	dir := t.TempDir()
	nextYear := time.Now().AddDate(1, 0, 0)
	write(t, filepath.Join(dir, "ca.pem"), server.authority.CAPEM())
	write(t, filepath.Join(dir, "push.p12"), p12(t, 1, time.Now().Add(time.Hour)))
	write(t, filepath.Join(dir, "password"), []byte("correct horse\n"))
	opened, err := Open(settings(dir, map[string]any{"endpoint": server.URL, "ca_file": "ca.pem"}, map[string]any{
		"key_file": "", "key_id": "", "p12_file": "push.p12", "password_file": "password",
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := opened.(*driver)
	defer d.Close()
	if err := d.Check(); err != nil {
		t.Error(err)
	}
	sender, err := d.Sender("demo", "demo-ios")
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, sender)
	l.more(t, 200)
	write(t, filepath.Join(dir, "push.p12"), p12(t, 2, nextYear))
	if got := state(t, d, 2); got.Kind != "p12" || got.KeyID != "2" || got.Expires.Unix() != nextYear.Unix() || got.Problem != "" {
		t.Errorf("after the change: %+v", got)
	}
	until(t, "the new one is used", func() bool { _, second, _ := server.counts(); return second > 100 })

	// An expired one is refused, and the one in use goes on.
	write(t, filepath.Join(dir, "push.p12"), p12(t, 3, time.Now().Add(-time.Hour)))
	if got := state(t, d, 2); got.KeyID != "2" || got.Problem == "" {
		t.Errorf("after an expired one: %+v", got)
	}
	l.more(t, l.sent.Load()+100)
	l.end()
	if len(l.failed) > 0 {
		t.Errorf("%d of %d failed, as %+v", len(l.failed), l.sent.Load(), l.failed[0])
	}
	first, second, tokens := server.counts()
	if int64(first+second) != l.sent.Load() || first < 200 || tokens != 0 {
		t.Errorf("%d pushes: %d with the first certificate, %d with the second, %d with a token", l.sent.Load(), first, second, tokens)
	}
}
