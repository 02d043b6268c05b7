// Package registry knows every user's devices: where each one's notifications go, whether its app is in the foreground,
// and the number on its icon. Device events flow in ([Registry.Apply]); decisions about recipients flow out
// ([Registry.Decide]), and, right before a send, admissions ([Registry.Admit], [Registry.Settle]). Receipts flow in too:
// what was read ([Registry.Read]), taken back ([Registry.Recall], [Registry.Shown]), or taken by a device's own service
// ([Registry.Acknowledge]).
//
// It lives in Redis, one node or a cluster, as a view that can be rebuilt from the compacted registry topic
// ([Registry.Restore]). All of a user's keys share one hash tag; a recipient costs one Lua script, pipelined over the
// batch, that claims the message, decides every device and counts the badges atomically. Every call may be repeated
// after an error: the same origin, owner or event yields the same answer. A Redis that lost its content is told from
// one that never had any by an epoch marker, checked inside the scripts: without it nothing is decided ([ErrEmpty]),
// and "no devices" is never concluded from a loss.
//
// All methods are safe for concurrent use. Errors never hold a token.
package registry

import (
	"cmp"
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"
)

// ErrEmpty says that Redis does not hold the registry: it is new, or it lost its content. Hold, rebuild with
// [Registry.Restore] and then [Registry.Complete].
var ErrEmpty = errors.New("registry: Redis has no epoch marker: it is empty or lost its content and has to be rebuilt")

// Config says where Redis is.
type Config struct {
	Addrs    []string // host:port; one = a single node, more = seeds of a Redis Cluster
	TLS      bool
	Username string
	Password string
}

// Options are the registry's rules. A zero value means the default.
type Options struct {
	Now             func() time.Time // the clock; default time.Now
	ForegroundLease time.Duration    // how long login, foreground and heartbeat keep a device in the foreground, counted from EventTime; default 400 s
	ActivityLimit   time.Duration    // a device without any event for longer gets no push; default 168 h
	ReplayWindow    time.Duration    // how long claims and done marks live; default 15 min
	MarkTTL         time.Duration    // how long the marks of unfinished notifications live; above the longest retry delay; default 2 h
	ReceiptTTL      time.Duration    // how long it is remembered that a user has read a message, or a device's own service has taken it; default 24 h
	Logger          *zap.Logger      // default: none
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	o.ForegroundLease = cmp.Or(o.ForegroundLease, 400*time.Second)
	o.ActivityLimit = cmp.Or(o.ActivityLimit, 168*time.Hour)
	o.ReplayWindow = cmp.Or(o.ReplayWindow, 15*time.Minute)
	o.MarkTTL = cmp.Or(o.MarkTTL, 2*time.Hour)
	o.ReceiptTTL = cmp.Or(o.ReceiptTTL, 24*time.Hour)
	return o
}

// Registry is the view of users and devices in Redis.
type Registry struct {
	client  redis.UniversalClient
	scripts *scripts
	markers *markers
	opts    Options

	warnEvicts sync.Once
}

// Open returns a registry on the Redis of cfg. It connects when the first call needs it, so an absent Redis shows as
// that call's error. Nothing is retried inside: callers back off.
func Open(cfg Config, opts Options) (*Registry, error) {
	client, err := Connect(cfg)
	if err != nil {
		return nil, err
	}
	return newRegistry(client, len(cfg.Addrs) > 1, opts), nil
}

// Connect returns a client of the Redis of cfg, as a registry uses it: bounded in connections and in time, without
// retries. It connects when the first call needs it.
func Connect(cfg Config) (redis.UniversalClient, error) {
	if len(cfg.Addrs) == 0 {
		return nil, errors.New("no Redis address")
	}
	universal := &redis.UniversalOptions{
		Addrs:                 cfg.Addrs,
		Username:              cfg.Username,
		Password:              cfg.Password,
		ContextTimeoutEnabled: true, // or a short context waits for the read time-out of a hung server
		DialTimeout:           2 * time.Second,
		DialerRetries:         1,
		ReadTimeout:           2 * time.Second,
		WriteTimeout:          2 * time.Second,
		PoolTimeout:           4 * time.Second,
		PoolSize:              poolSize,
		MaxActiveConns:        poolSize,
		MaxRetries:            -1, // none
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	if cfg.TLS {
		universal.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.NewUniversalClient(universal), nil
}

// poolSize bounds the connections to one Redis node: route, deliver and devices each keep a few batches on their way,
// and a node executes one command at a time anyway.
const poolSize = 16

func newRegistry(client redis.UniversalClient, cluster bool, opts Options) *Registry {
	return &Registry{client: client, scripts: newScripts(), markers: newMarkers(cluster), opts: opts.withDefaults()}
}

// Close ends the connections. Running calls fail.
func (r *Registry) Close() error {
	return r.client.Close()
}
