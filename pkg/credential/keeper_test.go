package credential_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a keeper of words: one that begins with "bad" is refused, and one that begins with "foreign" may follow nobody.
// Its senders report the word with which they send.
type desk struct {
	*credential.Keeper[string]
	t    *testing.T
	file string

	mu     sync.Mutex
	opened []string
	closed []string
	hold   chan struct{} // a send waits for it; nil = none waits
}

func newDesk(t *testing.T, content string) *desk {
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "key")}
	d.write(content)
	d.Keeper = credential.NewKeeper(credential.Config[string]{
		Path: "apps.demo.credentials.x.key_file", Source: credential.Source{File: d.file},
		Parse: func(m credential.Material) (string, error) {
			if strings.HasPrefix(string(m.Content), "bad") {
				return "", errors.New("a bad word")
			}
			return string(m.Content), nil
		},
		Succeeds: func(old, next string) error {
			if strings.HasPrefix(next, "foreign") {
				return errors.New("foreign to " + old)
			}
			return nil
		},
		Facts: func(word string) credential.Facts {
			return credential.Facts{Kind: "word", KeyID: word, Fingerprint: word, Expires: today.AddDate(0, 0, 1)}
		},
		Open: func(word string) (credential.Opened, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if word == "stuck" {
				return credential.Opened{}, errors.New("no sender")
			}
			d.opened = append(d.opened, word)
			return credential.Opened{
				Sender: push.SenderFunc(func(_ context.Context, _ []*push.Notification, report func(int, push.Outcome)) {
					if d.hold != nil {
						<-d.hold
					}
					report(0, push.Outcome{Disposition: push.Delivered, Answer: word})
				}),
				Close: func() {
					d.mu.Lock()
					defer d.mu.Unlock()
					d.closed = append(d.closed, word)
				},
			}, nil
		},
		Now: func() time.Time { return today },
	})
	return d
}

func (d *desk) write(content string) {
	d.t.Helper()
	if err := os.WriteFile(d.file, []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// send says with which word one was sent.
func (d *desk) send() string {
	d.t.Helper()
	sender, err := d.Sender()
	if err != nil {
		d.t.Fatal(err)
	}
	var with string
	sender.Send(context.Background(), make([]*push.Notification, 1), func(_ int, o push.Outcome) { with = o.Answer })
	return with
}

// expect compares the state with the key in use and the problem.
func (d *desk) expect(inUse, problem string) {
	d.t.Helper()
	state := d.State()
	if state.Fingerprint != inUse || (problem == "") != (state.Problem == "") || !strings.Contains(state.Problem, problem) {
		d.t.Errorf("in use %q, problem %q; want %q, %q", state.Fingerprint, state.Problem, inUse, problem)
	}
}

func TestAChangedFileIsTakenOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	defer d.Close()
	d.expect("", "") // nothing was read yet
	if got := d.send(); got != "one" {
		t.Errorf("sent with %q", got)
	}
	d.Refresh()
	d.write("two")
	d.Refresh()
	d.expect("one", "") // it may be half written
	d.Refresh()
	d.expect("two", "")
	if got := d.send(); got != "two" {
		t.Errorf("sent with %q after the change", got)
	}
}

// TestAFileThatIsBeingWrittenIsNotJudged: each look sees other content.
func TestAFileThatIsBeingWrittenIsNotJudged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	defer d.Close()
	d.Refresh()
	for _, part := range []string{"b", "ba", "bad", "bad but half of it", "good after all"} {
		d.write(part)
		d.Refresh()
		d.expect("one", "")
	}
	d.Refresh()
	d.expect("good after all", "")
}

func TestABadNewOneIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, says string }{
		"by its content":                 {"bad", "a bad word"},
		"for the sake of the one before": {"foreign", "foreign to one"},
		"because no sender opens":        {"stuck", "no sender"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, "one")
			defer d.Close()
			d.send()
			d.write(c.content)
			for range 3 {
				d.Refresh()
			}
			d.expect("one", c.says)
			if got := d.send(); got != "one" {
				t.Errorf("sent with %q", got)
			}
			d.write("one") // put back
			d.Refresh()
			d.expect("one", "")
			if len(d.opened) != 1 || len(d.closed) != 0 {
				t.Errorf("opened %v, closed %v", d.opened, d.closed)
			}
		})
	}
}

func TestAFileThatGoesAwayChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	defer d.Close()
	d.send()
	if err := os.Remove(d.file); err != nil {
		t.Fatal(err)
	}
	d.Refresh()
	d.expect("one", "")
	d.Refresh()
	d.expect("one", "no such file")
	if got := d.send(); got != "one" {
		t.Errorf("sent with %q", got)
	}
}

// TestAChangedLinkIsTakenOver: Kubernetes mounts a secret as a link to a folder, and points the link to another one.
func TestAChangedLinkIsTakenOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	defer d.Close()
	d.send()
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "key"), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(dir, "next")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(d.file) // the first time a file, then the link that stays
		if err := os.Symlink(filepath.Join(dir, "..data", "key"), d.file); err != nil {
			t.Fatal(err)
		}
		d.Refresh()
		d.Refresh()
		d.expect(version, "")
	}
}

func TestABadFirstOneIsReadAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "bad")
	defer d.Close()
	_, err := d.Sender()
	for _, says := range []string{"apps.demo.credentials.x.key_file: ", d.file, "a bad word"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	if err := d.Check(); err == nil {
		t.Error("the check finds nothing")
	}
	d.Refresh()
	d.expect("", "a bad word")
	d.write("one")
	if got := d.send(); got != "one" { // it does not wait for a refresh
		t.Errorf("sent with %q", got)
	}
	d.expect("one", "")
}

func TestStateTellsOfTheKeyInUse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	defer d.Close()
	d.Refresh() // opens no sender
	want := push.CredentialState{Kind: "word", Source: d.file, KeyID: "one", Fingerprint: "one", Expires: today.AddDate(0, 0, 1)}
	if got := d.State(); got != want || len(d.opened) != 0 {
		t.Errorf("got %+v, want %+v; opened %v", got, want, d.opened)
	}
}

// TestWhatIsBeingSentEndsWithItsKey: the key before closes with its last send, and not earlier.
func TestWhatIsBeingSentEndsWithItsKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	synctest.Test(t, func(t *testing.T) {
		d.hold = make(chan struct{})
		before := make(chan string, 1)
		go func() { before <- d.send() }()
		synctest.Wait()
		d.write("two")
		d.Refresh()
		d.Refresh()
		after := make(chan string, 1)
		go func() { after <- d.send() }()
		synctest.Wait()
		if len(d.closed) != 0 {
			t.Errorf("closed %v while it sends", d.closed)
		}
		close(d.hold)
		if first, second := <-before, <-after; first != "one" || second != "two" {
			t.Errorf("sent with %q and %q", first, second)
		}
		synctest.Wait()
		if len(d.closed) != 1 || d.closed[0] != "one" {
			t.Errorf("closed %v, want the key before", d.closed)
		}
		d.Close()
		if len(d.closed) != 2 {
			t.Errorf("closed %v at the end", d.closed)
		}
		if _, err := d.Sender(); err == nil {
			t.Error("a closed keeper gives a sender")
		}
	})
}

// TestCloseEndsWhatTheKeyBeforeStillSends: its connections are cut, so that nothing outlives the driver.
func TestCloseEndsWhatTheKeyBeforeStillSends(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	synctest.Test(t, func(*testing.T) {
		d.hold = make(chan struct{})
		go d.send()
		synctest.Wait()
		d.write("two")
		d.Refresh()
		d.Refresh()
		go d.Close()
		synctest.Wait()
		d.mu.Lock()
		if len(d.closed) != 2 {
			t.Errorf("closed %v, want both", d.closed)
		}
		d.mu.Unlock()
		close(d.hold)
	})
}
