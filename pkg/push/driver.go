package push

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Sender sends with one credential of one platform. Deliver calls it from several goroutines.
type Sender interface {
	// Send delivers a batch and returns after exactly one report per item; an item without a report counts as
	// ambiguous. report may be called concurrently, as each answer comes, so a slow answer delays only its own
	// notification. Send never sleeps in order to retry. ctx bounds every item: when it ends, items without an answer
	// are reported as retryable, ambiguous where their bytes may have left.
	Send(ctx context.Context, batch []*Notification, report func(i int, o Outcome))
}

// SenderFunc lets a function be a [Sender].
type SenderFunc func(ctx context.Context, batch []*Notification, report func(i int, o Outcome))

// Send calls f.
func (f SenderFunc) Send(ctx context.Context, batch []*Notification, report func(i int, o Outcome)) {
	f(ctx, batch, report)
}

// Request is what a platform would send for a notification, for preview: provider headers without authorization, where
// the platform has any, and the body without the token.
type Request struct {
	Headers map[string]string
	Body    json.RawMessage
}

// Driver is one platform, configured. It is safe for concurrent use.
type Driver interface {
	// CheckToken says what is wrong with a device token of this platform; its error never quotes the token.
	CheckToken(token string) error
	// Render gives the bytes for n, or the outcome that makes n impossible to send: Dead with ReasonTooLarge,
	// ReasonUnknownApp or ReasonUnknownCredential. It opens no file and no connection. now is what a relative time to
	// live is counted from. n.Expires less than a second away is the caller's to filter.
	Render(n *Notification, now time.Time) (Request, *Outcome)
	// Sender returns the sender of a credential, opening its key on the first call; later calls return the same one.
	// ErrUnknownCredential where the configuration has no such credential of this platform, or, of a keyless platform, no
	// such app: it looks at no credential. Other errors say what is wrong with the key, without quoting it.
	Sender(app, credential string) (Sender, error)
	// Concurrency is how many notifications one credential can have under way at a time; more wait inside Send.
	Concurrency() int
	// Check opens every credential's files and says what is wrong, each with its configuration path, joined.
	Check() error
	// Close ends all connections; running sends are reported as retryable.
	Close() error
}

// Settings is what a platform gets from the configuration. Each block is decoded by the platform itself.
type Settings struct {
	Dir   string // relative file names are relative to it
	Block Block  // the platform's own top-level block
	Apps  map[string]AppSettings
	Now   func() time.Time // the clock; never nil
	// Offline hands a record for the IM's gateway to im.offline under the device's key; done is called once, with nil
	// when the record is durable, from any goroutine and perhaps before Offline returns. The end of ctx ends its wait for
	// room. nil outside a running fleet: then nothing can be sent this way.
	Offline func(ctx context.Context, app, user, device string, value []byte, done func(error))
}

// AppSettings is one app's share of [Settings].
type AppSettings struct {
	Block       Block            // the app's block named after the platform
	Credentials map[string]Block // the app's credentials of this platform, by name
}

// Block is one part of the configuration, not decoded yet.
type Block interface {
	// Path is where the block stands, as "apps.demo.credentials.demo-ios".
	Path() string
	// Decode fills the struct that v points to by its `koanf` tags. Keys that are absent leave the field as it is;
	// unknown keys and wrong types are errors, each naming its path. An absent block decodes to nothing.
	Decode(v any) error
}

// Kind is a platform before configuration: a line in the fleet's table.
type Kind struct {
	Platform Platform
	Keyless  bool // it needs no credential: its devices name none
	// DoubtsUnregistered says that its word that a token is unregistered has been seen wrong: it has to say so again,
	// after a while, before the token is dropped.
	DoubtsUnregistered bool
	// Open checks the settings and opens no file; its errors name the paths of all mistakes.
	Open func(Settings) (Driver, error)
}

// ErrUnknownCredential says that an app has no credential of that name on that platform.
var ErrUnknownCredential = errors.New("unknown credential")
