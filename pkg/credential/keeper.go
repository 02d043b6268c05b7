package credential

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// errClosed is what a closed keeper answers.
var errClosed = errors.New("credential: closed")

// Config is what a [Keeper] needs to know of a credential whose parsed form is T.
type Config[T any] struct {
	Path   string // of the configuration key that names the source: errors begin with it
	Source Source
	// Parse checks what the source holds, everything but its use with what is in use. It may be called concurrently.
	Parse func(Material) (T, error)
	// Succeeds says why a good credential may not take the place of the one in use; nil = nothing is against it.
	Succeeds func(old, next T) error
	Facts    func(T) Facts
	Open     func(T) (Opened, error) // a sender; called for each key that comes into use
	Now      func() time.Time
}

// Keeper keeps one credential in use, and its sender. Nothing is read before it is asked for something. Safe for
// concurrent use.
type Keeper[T any] struct {
	cfg Config[T]

	mu      sync.Mutex
	closed  bool
	held    bool // current is in use
	current T
	inUse   digest // of the material that current was made of
	seen    digest // of what the source held at the last look
	problem error  // of what the source holds; nil where that is in use
	relay   *relay // nil until the first sender is asked for
}

// digest tells contents apart. It never leaves the process.
type digest [sha256.Size]byte

// NewKeeper reads nothing.
func NewKeeper[T any](cfg Config[T]) *Keeper[T] { return &Keeper[T]{cfg: cfg} }

// Sender returns the credential's sender, always the same one. A credential that cannot be used is an error, and is
// read again by the next call.
func (k *Keeper[T]) Sender() (push.Sender, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errClosed
	}
	if k.relay != nil {
		return k.relay, nil
	}
	if !k.held {
		material, err := k.cfg.Source.Read()
		next, err := k.parse(material, err)
		if k.adopt(material, next, err); k.problem != nil {
			return nil, k.named(k.problem)
		}
	}
	opened, err := k.cfg.Open(k.current)
	if err != nil {
		return nil, err
	}
	k.relay = newRelay(opened)
	return k.relay, nil
}

// Check reads the source and says what is wrong with it. It changes nothing.
func (k *Keeper[T]) Check() error {
	_, err := k.parse(k.cfg.Source.Read())
	return k.named(err)
}

func (k *Keeper[T]) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", k.cfg.Path, err)
}

// Refresh looks at the source again, and takes over what has changed there and is good. A change is judged when two
// looks have seen the same: the first may have come while the files were being written. One goroutine calls it.
func (k *Keeper[T]) Refresh() {
	material, err := k.cfg.Source.Read()
	if !k.changed(digestOf(material, err)) {
		return
	}
	// A p12 with a strong password takes its time, and nobody's send is to wait for it.
	next, err := k.parse(material, err)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.adopt(material, next, err)
}

// changed notes a look, and says whether what it saw is to be judged.
func (k *Keeper[T]) changed(now digest) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	settled := k.seen == now || !k.held
	k.seen = now
	if k.held && k.inUse == now {
		k.problem = nil
		return false
	}
	return settled && !k.closed
}

// adopt puts into use what was read and parsed, or notes why not. The lock is held.
func (k *Keeper[T]) adopt(material Material, next T, err error) {
	if k.closed {
		return
	}
	if err == nil && k.held && k.cfg.Succeeds != nil {
		err = k.cfg.Succeeds(k.current, next)
	}
	if err == nil && k.relay != nil {
		var opened Opened
		if opened, err = k.cfg.Open(next); err == nil {
			k.relay.replace(opened)
		}
	}
	if k.problem = err; err == nil {
		k.current, k.held, k.inUse = next, true, digestOf(material, nil)
	}
}

// parse takes what [Source.Read] returned.
func (k *Keeper[T]) parse(material Material, failed error) (T, error) {
	if failed != nil {
		var none T
		return none, failed // names its file
	}
	parsed, err := k.cfg.Parse(material)
	if err != nil {
		return parsed, fmt.Errorf("%s: %w", k.cfg.Source, err)
	}
	return parsed, nil
}

// State tells of the credential, as far as it was looked at. App, name and platform are the caller's to fill in.
func (k *Keeper[T]) State() push.CredentialState {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := push.CredentialState{Source: k.cfg.Source.String()}
	if k.held {
		facts := k.cfg.Facts(k.current)
		state.Kind, state.KeyID, state.Fingerprint, state.Expires = facts.Kind, facts.KeyID, facts.Fingerprint, facts.Expires
		if err := facts.Expired(k.cfg.Now()); err != nil {
			state.Problem = err.Error()
		}
	}
	if k.problem != nil {
		state.Problem = k.problem.Error()
	}
	return state
}

// Close ends the sender's connections and takes nothing over any more.
func (k *Keeper[T]) Close() {
	k.mu.Lock()
	k.closed = true
	r := k.relay
	k.mu.Unlock()
	if r != nil {
		r.close()
	}
}

// digestOf is of what was read, or of why nothing was.
func digestOf(m Material, err error) digest {
	if err != nil {
		return sha256.Sum256([]byte("error: " + err.Error()))
	}
	hash := sha256.New()
	for _, part := range []string{string(m.Content), m.Password, m.KeyID} {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return digest(hash.Sum(nil))
}
