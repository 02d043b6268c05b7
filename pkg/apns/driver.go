package apns

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// errClosed is what sends get once the driver is closed.
var errClosed = errors.New("apns: closed")

// driver is [push.Driver] for APNs.
type driver struct {
	dir  string
	path string // of the platform's block
	cfg  platformConfig
	now  func() time.Time
	apps map[string]map[string]*configured // by app and credential

	mu      sync.Mutex
	signers map[signerName]*sharedSigner
}

// Open checks the settings and opens no file.
func Open(settings push.Settings) (push.Driver, error) {
	cfg, err := decodePlatform(settings.Block)
	errs := []error{err}
	d := &driver{
		dir:     settings.Dir,
		path:    settings.Block.Path(),
		cfg:     cfg,
		now:     settings.Now,
		apps:    make(map[string]map[string]*configured, len(settings.Apps)),
		signers: make(map[signerName]*sharedSigner),
	}
	for _, app := range slices.Sorted(maps.Keys(settings.Apps)) {
		d.apps[app] = make(map[string]*configured)
		errs = append(errs, settings.Apps[app].Block.Decode(new(appConfig)))
		credentials := settings.Apps[app].Credentials
		for _, name := range slices.Sorted(maps.Keys(credentials)) {
			cfg, err := decodeCredential(credentials[name])
			errs = append(errs, err)
			d.apps[app][name] = d.configure(cfg, credentials[name].Path())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

// CheckToken says whether a device token has the form of Apple's: 64 to 200 hexadecimal digits, an even number.
func (d *driver) CheckToken(token string) error { return checkToken(token) }

// Render gives Apple's headers and payload; see [push.Driver].
func (d *driver) Render(n *push.Notification, _ time.Time) (push.Request, *push.Outcome) {
	credentials, known := d.apps[n.App]
	if !known {
		return push.Request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownApp}
	}
	cfg, known := credentials[n.Credential]
	if !known {
		return push.Request{}, &push.Outcome{Disposition: push.Dead, Reason: push.ReasonUnknownCredential}
	}
	r, refused := render(n, cfg.BundleID)
	if refused != nil {
		return push.Request{}, refused
	}
	return push.Request{Headers: r.headers(), Body: r.payload}, nil
}

// Sender opens the credential on the first call; see [push.Driver].
func (d *driver) Sender(app, name string) (push.Sender, error) {
	c, known := d.apps[app][name]
	if !known {
		return nil, fmt.Errorf("apns: app %q, credential %q: %w", app, name, push.ErrUnknownCredential)
	}
	return c.keeper.Sender()
}

// Concurrency is the configuration's.
func (d *driver) Concurrency() int { return d.cfg.Concurrency }

func (d *driver) roots() (*x509.CertPool, error) {
	roots, err := d.cfg.roots(d.dir)
	if err != nil {
		return nil, fmt.Errorf("%s.ca_file: %w", d.path, err)
	}
	return roots, nil
}

// Check opens the ca_file and every credential.
func (d *driver) Check() error {
	_, err := d.roots()
	errs := []error{err}
	for _, c := range d.all() {
		errs = append(errs, c.keeper.Check())
	}
	return errors.Join(errs...)
}

// RefreshCredentials implements [push.CredentialKeeper].
func (d *driver) RefreshCredentials() []push.CredentialState {
	var states []push.CredentialState
	for _, app := range slices.Sorted(maps.Keys(d.apps)) {
		for _, name := range slices.Sorted(maps.Keys(d.apps[app])) {
			keeper := d.apps[app][name].keeper
			keeper.Refresh()
			state := keeper.State()
			state.App, state.Name, state.Platform = app, name, Platform
			states = append(states, state)
		}
	}
	return states
}

// Close cuts all connections; what is being sent is reported as retryable, then it returns.
func (d *driver) Close() error {
	for _, c := range d.all() {
		c.keeper.Close()
	}
	return nil
}

// all is every credential, in the order of apps and names.
func (d *driver) all() []*configured {
	var all []*configured
	for _, app := range slices.Sorted(maps.Keys(d.apps)) {
		for _, name := range slices.Sorted(maps.Keys(d.apps[app])) {
			all = append(all, d.apps[app][name])
		}
	}
	return all
}
