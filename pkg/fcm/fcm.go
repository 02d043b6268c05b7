// Package fcm sends push notifications to Android devices through Firebase Cloud Messaging, HTTP v1. Rendered
// notifications flow in, one request each flows out through the Firebase SDK, and an outcome per notification comes
// back. It promises that the bytes of Render are the bytes that are sent; that every answer and every failure is
// classified in one place and nothing is repeated behind it, apart from one request after a refused access token; that
// no project gets more than this process's share of its quota; that running requests, their time and their memory are
// bounded; and that no error holds a token, a key or a text.
package fcm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

// maxTokenBytes bounds a registration token. FCM names no limit; today's have about 160 bytes.
const maxTokenBytes = 4096

// errNotFCM says that a 200 came without a message's name, as from a captive portal.
var errNotFCM = errors.New("the answer is not FCM's")

// Kind is FCM's line in the fleet's table of platforms.
func Kind() push.Kind { return push.Kind{Platform: Platform, DoubtsUnregistered: true, Open: Open} }

// Driver is FCM, configured. It implements [push.Driver].
type Driver struct {
	settings *settings
	now      func() time.Time

	ctx     context.Context // ends with the driver, and with it every send
	stop    context.CancelFunc
	sending sync.WaitGroup

	keepers map[string]map[string]*credential.Keeper[*credential.ServiceAccount] // by app and credential

	mu     sync.Mutex
	closed bool
	client client            // nil until the first sender needs it
	quotas map[string]*quota // by project
}

// Open checks the configuration and opens nothing.
func Open(s push.Settings) (push.Driver, error) {
	read, err := readSettings(s)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		settings: read, now: s.Now, quotas: make(map[string]*quota),
		keepers: make(map[string]map[string]*credential.Keeper[*credential.ServiceAccount]),
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	for app, settings := range read.apps {
		d.keepers[app] = make(map[string]*credential.Keeper[*credential.ServiceAccount])
		for name, cfg := range settings.credentials {
			d.keepers[app][name] = d.keep(cfg)
		}
	}
	return d, nil
}

// CheckToken takes anything that could be a registration token: printable ASCII without spaces.
func (d *Driver) CheckToken(token string) error {
	if token == "" {
		return errors.New("token: empty")
	}
	if len(token) > maxTokenBytes {
		return fmt.Errorf("token: %d bytes, at most %d", len(token), maxTokenBytes)
	}
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("token: byte %d is not printable ASCII", i)
		}
	}
	return nil
}

// Render gives the message object without its token; FCM has no headers of ours.
func (d *Driver) Render(n *push.Notification, now time.Time) (push.Request, *push.Outcome) {
	body, refused := d.render(nil, n, now)
	return push.Request{Body: body}, refused
}

// render appends the message object to dst.
func (d *Driver) render(dst []byte, n *push.Notification, now time.Time) ([]byte, *push.Outcome) {
	app, ok := d.settings.apps[n.App]
	if !ok {
		return nil, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownApp}
	}
	cfg, ok := app.credentials[n.Credential]
	if !ok {
		return nil, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential}
	}
	body, ok := appendMessage(dst, n, &app.block, cfg.clickAction, now)
	if !ok {
		return nil, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}
	}
	return body, nil
}

// envelope appends the whole request to dst: the rendered message with its token.
func (d *Driver) envelope(dst []byte, n *push.Notification, now time.Time) ([]byte, *push.Outcome) {
	dst, refused := d.render(append(dst, `{"message":`...), n, now)
	if refused != nil {
		return nil, refused
	}
	dst = payload.AppendMember(dst[:len(dst)-1], "token", n.Token)
	return append(dst, '}', '}'), nil
}

// Sender returns the sender of a credential. A key that could not be opened is tried again on the next call.
func (d *Driver) Sender(app, name string) (push.Sender, error) {
	keeper, ok := d.keepers[app][name]
	if !ok {
		return nil, fmt.Errorf("app %q, credential %q: %w", app, name, push.ErrUnknownCredential)
	}
	return keeper.Sender()
}

// Concurrency is the configuration's.
func (d *Driver) Concurrency() int { return d.settings.platform.Concurrency }

// Check reads the authorities and every service account.
func (d *Driver) Check() error {
	var mistakes []error
	if file := d.settings.platform.CAFile; file != "" {
		if _, err := readAuthorities(file); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s.ca_file: %w", d.settings.path, err))
		}
	}
	for _, app := range slices.Sorted(maps.Keys(d.keepers)) {
		for _, name := range slices.Sorted(maps.Keys(d.keepers[app])) {
			mistakes = append(mistakes, d.keepers[app][name].Check())
		}
	}
	return errors.Join(mistakes...)
}

// begin puts a send under the driver: its context ends with the driver too, and never lacks a limit.
func (d *Driver) begin(ctx context.Context) (_ context.Context, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := time.Now().Add(sendLimit)
	if own, limited := ctx.Deadline(); limited {
		limit = own
	}
	ctx, cancel := context.WithDeadline(ctx, limit)
	if d.closed {
		cancel()
		return ctx, cancel
	}
	d.sending.Add(1)
	unbind := context.AfterFunc(d.ctx, cancel)
	return ctx, func() {
		unbind()
		cancel()
		d.sending.Done()
	}
}

// Close ends all connections and waits for running sends, which report that they are to be tried again.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.stop()
	d.mu.Unlock()
	d.sending.Wait()
	for _, app := range d.keepers {
		for _, keeper := range app {
			keeper.Close()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil {
		d.client.Close()
	}
	return nil
}
