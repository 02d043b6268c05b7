package apns

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/credential"
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
	apps map[string]map[string]configured // by app and credential

	mu      sync.Mutex
	closed  bool
	senders map[credentialName]*sender
	signers map[signerName]*signer
}

// configured is a credential and where it stands.
type configured struct {
	credentialConfig
	path string
}

type credentialName struct{ app, credential string }

// signerName is what makes two credentials share a provider token: Apple counts tokens by key.
type signerName struct{ team, key, file string }

// Open checks the settings and opens no file.
func Open(settings push.Settings) (push.Driver, error) {
	cfg, err := decodePlatform(settings.Block)
	errs := []error{err}
	apps := make(map[string]map[string]configured, len(settings.Apps))
	for _, app := range slices.Sorted(maps.Keys(settings.Apps)) {
		apps[app] = make(map[string]configured)
		errs = append(errs, settings.Apps[app].Block.Decode(new(appConfig)))
		credentials := settings.Apps[app].Credentials
		for _, name := range slices.Sorted(maps.Keys(credentials)) {
			cfg, err := decodeCredential(credentials[name])
			errs = append(errs, err)
			apps[app][name] = configured{credentialConfig: cfg, path: credentials[name].Path()}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &driver{
		dir:     settings.Dir,
		path:    settings.Block.Path(),
		cfg:     cfg,
		now:     settings.Now,
		apps:    apps,
		senders: make(map[credentialName]*sender),
		signers: make(map[signerName]*signer),
	}, nil
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

// Sender opens the credential's key on the first call; see [push.Driver].
func (d *driver) Sender(app, name string) (push.Sender, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	if s, open := d.senders[credentialName{app, name}]; open {
		return s, nil
	}
	cfg, known := d.apps[app][name]
	if !known {
		return nil, fmt.Errorf("apns: app %q, credential %q: %w", app, name, push.ErrUnknownCredential)
	}
	roots, err := d.roots()
	if err != nil {
		return nil, err
	}
	signer, err := d.signer(cfg)
	if err != nil {
		return nil, err
	}
	s := newSender(d.cfg.host(cfg.Environment), cfg.BundleID, roots, signer, d.cfg)
	d.senders[credentialName{app, name}] = s
	return s, nil
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

func (d *driver) key(cfg configured) (credential.P8, error) {
	key, err := credential.LoadP8(absolute(d.dir, cfg.KeyFile))
	if err != nil {
		return key, fmt.Errorf("%s.key_file: %w", cfg.path, err)
	}
	return key, nil
}

func (d *driver) signer(cfg configured) (*signer, error) {
	name := signerName{team: cfg.TeamID, key: cfg.KeyID, file: absolute(d.dir, cfg.KeyFile)}
	if s, known := d.signers[name]; known {
		return s, nil
	}
	key, err := d.key(cfg)
	if err != nil {
		return nil, err
	}
	s := newSigner(key.Key, cfg.TeamID, cfg.KeyID, d.now)
	d.signers[name] = s
	return s, nil
}

// Check opens the ca_file and every key.
func (d *driver) Check() error {
	_, err := d.roots()
	errs := []error{err}
	for _, app := range slices.Sorted(maps.Keys(d.apps)) {
		for _, name := range slices.Sorted(maps.Keys(d.apps[app])) {
			_, err := d.key(d.apps[app][name])
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close cuts all connections; what is being sent is reported as retryable, then it returns.
func (d *driver) Close() error {
	d.mu.Lock()
	d.closed = true
	senders := d.senders
	d.senders = nil
	d.mu.Unlock()
	for _, s := range senders {
		s.close()
	}
	return nil
}
