// Package service is the platform of devices whose own service takes offline messages: Android services that survive
// their app, reached by the IM itself. A rendered notification flows in; a JSON record for the IM's gateway flows out,
// handed to the offline topic, and an outcome flows back once the record is durable there. Whether the device then took
// the message is not known here: its acknowledgement is a receipt. The package promises that a record never exceeds its
// limit and holds no handle, that nothing but the body is ever cut, and that what is under way is bounded. It opens no
// connection and no file, and needs no credential.
package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Platform is this package's name in topics, labels and configuration.
const Platform push.Platform = "service"

const (
	// maxHandleBytes bounds what a device gives in a token's place: as a registration token of FCM.
	maxHandleBytes = 4096
	// concurrency is how many records of one app may be on their way to the topic. At 20 ms a record, the longest that
	// a publisher waits for more, that is 50,000 a second.
	concurrency = 1000
)

var errClosed = errors.New("service: closed")

// Kind is the platform's line in the fleet's table.
func Kind() push.Kind { return push.Kind{Platform: Platform, Keyless: true, Open: Open} }

// platformConfig is the top-level block service, and an app's block of that name. Neither has a key.
type platformConfig struct{}

// driver is [push.Driver] for devices' own services.
type driver struct {
	offline offlineFunc // nil = this process hands nothing to gateways
	apps    map[string]bool

	ctx     context.Context // ends with the driver, and with it every send
	stop    context.CancelFunc
	sending sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	senders map[string]*sender // by app
}

// offlineFunc is [push.Settings.Offline].
type offlineFunc = func(ctx context.Context, app, user, device string, value []byte, done func(error))

// Open checks the settings.
func Open(settings push.Settings) (push.Driver, error) {
	errs := []error{settings.Block.Decode(new(platformConfig))}
	apps := make(map[string]bool, len(settings.Apps))
	for _, app := range slices.Sorted(maps.Keys(settings.Apps)) {
		apps[app] = true
		errs = append(errs, settings.Apps[app].Block.Decode(new(platformConfig)))
		credentials := settings.Apps[app].Credentials
		for _, name := range slices.Sorted(maps.Keys(credentials)) {
			errs = append(errs, fmt.Errorf("%s.platform: %s needs no credential", credentials[name].Path(), Platform))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	d := &driver{offline: settings.Offline, apps: apps, senders: make(map[string]*sender)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// CheckToken takes any handle that is UTF-8 without control characters: it means something to the gateway alone.
func (d *driver) CheckToken(token string) error {
	switch {
	case token == "":
		return errors.New("handle: empty")
	case len(token) > maxHandleBytes:
		return fmt.Errorf("handle: %d bytes, at most %d", len(token), maxHandleBytes)
	case !utf8.ValidString(token):
		return errors.New("handle: not UTF-8")
	}
	for _, c := range token {
		if unicode.IsControl(c) {
			return errors.New("handle: a control character")
		}
	}
	return nil
}

// Render gives the record for the gateway; see [push.Driver]. There are no headers, and no credential is looked at.
func (d *driver) Render(n *push.Notification, _ time.Time) (push.Request, *push.Outcome) {
	if !d.apps[n.App] {
		return push.Request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownApp}
	}
	value, ok := record(n)
	if !ok {
		return push.Request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonTooLarge}
	}
	return push.Request{Body: value}, nil
}

// Sender returns the sender of an app, whatever the credential: a device that has one has it for its fallback.
func (d *driver) Sender(app, _ string) (push.Sender, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	if !d.apps[app] {
		return nil, fmt.Errorf("service: app %q: %w", app, push.ErrUnknownCredential)
	}
	s, open := d.senders[app]
	if !open {
		s = &sender{driver: d, slots: make(chan struct{}, concurrency)}
		d.senders[app] = s
	}
	return s, nil
}

// Concurrency is of each app.
func (d *driver) Concurrency() int { return concurrency }

// Check has nothing to open.
func (d *driver) Check() error { return nil }

// begin puts a send under the driver: its context ends with the driver too.
func (d *driver) begin(ctx context.Context) (_ context.Context, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
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

// Close ends running sends, which report that they are to be tried again, and waits for them.
func (d *driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.stop()
	d.mu.Unlock()
	d.sending.Wait()
	return nil
}
