// Package config reads the configuration. A YAML file and the environment flow in; one checked [Config] flows out, or
// every mistake at once, each with the path of its key.
//
// Three layers, the later one wins: the defaults (defaults.yml in this package), the file, and environment variables
// named PUSHFLEET_ and the key's path in capitals, joined by underscores: PUSHFLEET_KAFKA_BROKERS,
// PUSHFLEET_PRESENCE_FOREGROUND_LEASE. A list is comma separated there. Apps stand in the file alone.
//
// It promises that no key goes unread: an unknown key, a value of another type or out of its range is an error. It
// opens nothing but the configuration file, and holds names of key files, never what is in them. The blocks of the
// platforms are handed out undecoded, as [push.Block]: each platform knows its own keys.
package config

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Config is a whole, checked configuration. It is read-only and safe for concurrent use.
type Config struct {
	Kafka      Kafka             `koanf:"kafka"`
	Redis      Redis             `koanf:"redis"`
	API        API               `koanf:"api"`
	Health     Health            `koanf:"health"`
	DefaultApp string            `koanf:"default_app"` // app of messages that name none; never "" after Load
	Presence   Presence          `koanf:"presence"`
	Retry      Retry             `koanf:"retry"`
	Brake      Brake             `koanf:"brake"`
	Lanes      map[push.Lane]int `koanf:"lanes"` // share of the fetches by lane, for every lane
	Topics     Topics            `koanf:"topics"`
	Limits     Limits            `koanf:"limits"`
	Timeline   Timeline          `koanf:"timeline"`
	Shutdown   Shutdown          `koanf:"shutdown"`
	Log        Log               `koanf:"log"`

	Apps map[string]App `koanf:"-"`
	Dir  string         `koanf:"-"` // folder of the configuration file, absolute: relative file names are relative to it

	platforms map[push.Platform]block
}

// Kafka is where the topics are.
type Kafka struct {
	Brokers []string      `koanf:"brokers"` // host:port of some brokers, at least one
	Prefix  string        `koanf:"prefix"`  // of every topic name and consumer group
	Group   string        `koanf:"group"`   // first part of every consumer group's name
	Start   Start         `koanf:"start"`   // where reading im.messages begins
	MaxAge  time.Duration `koanf:"max_age"` // an older message is filtered as stale
}

// Start says where a group begins to read the messages' topic when it has no offset on any of its partitions.
type Start string

// The starts.
const (
	StartLatest   Start = "latest"
	StartEarliest Start = "earliest"
)

// Redis is where a server or a cluster is, the registry's or the timeline's.
type Redis struct {
	Addrs        []string `koanf:"addrs"` // one host:port: a single server; more: a cluster
	TLS          bool     `koanf:"tls"`
	Username     string   `koanf:"username"`
	PasswordFile string   `koanf:"password_file"` // absolute; "" = no password
}

// API is the HTTP role.
type API struct {
	Listen     string `koanf:"listen"`      // host:port
	TokensFile string `koanf:"tokens_file"` // absolute; one bearer token a line
}

// Health is the listener for /healthz, /readyz and /metrics of a process that does not run the api role.
type Health struct {
	Listen string `koanf:"listen"` // host:port; "" = none
}

// Presence says how long what a device reported holds.
type Presence struct {
	ForegroundLease time.Duration `koanf:"foreground_lease"` // foreground without a heartbeat
	ActivityLimit   time.Duration `koanf:"activity_limit"`   // without a login: counts as logged out
	MaxLag          time.Duration `koanf:"max_lag"`          // route holds while older presence events are unread
}

// Retry says how often and when a failed notification is tried again.
type Retry struct {
	Delays      []time.Duration `koanf:"delays"`       // ascending, whole seconds; each is a topic of every platform
	MaxAttempts int             `koanf:"max_attempts"` // then it is dead
	Park        time.Duration   `koanf:"park"`         // until parked records are tried without being told; the wait grows
	Grace       time.Duration   `koanf:"grace"`        // a token that FCM calls unregistered is asked about again after it; 0 = not
}

// Brake says when so many tokens are rejected that the configuration is to be doubted rather than the tokens.
type Brake struct {
	Rejections int `koanf:"rejections"` // of the last 100 answers of a credential, at least
	Percent    int `koanf:"percent"`    // of those there were, at least
}

// Topics says how topics are created.
type Topics struct {
	Partitions  int `koanf:"partitions"`
	Replication int `koanf:"replication"`
}

// Limits bounds what one process holds at a time: an equal share for each of its deliver roles, and one for all others.
type Limits struct {
	InFlight      int   `koanf:"in_flight"`       // records read and not yet acknowledged
	InFlightBytes Bytes `koanf:"in_flight_bytes"` // their size
}

// Timeline bounds what is kept of every message's way, for people to look at.
type Timeline struct {
	TTL          time.Duration `koanf:"ttl"`           // after a message's last event
	Bytes        Bytes         `koanf:"bytes"`         // of all timelines; the oldest give way. Half of it is failures'
	MessageBytes Bytes         `koanf:"message_bytes"` // of one message's
	Sample       float64       `koanf:"sample"`        // share of the messages that are kept whole; of the others failures alone
	Redis        Redis         `koanf:"redis"`         // where; no addresses = in the registry's
}

// Shutdown bounds the end of a process.
type Shutdown struct {
	Grace time.Duration `koanf:"grace"` // from the signal until running work is given up
}

// Log says what is logged, and how.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn, error
	Format string `koanf:"format"` // json, console
}

// App is one IM application.
type App struct {
	Privacy            bool          `koanf:"privacy"`             // pushes show "New message" and nothing of the message
	ForegroundSilences Silences      `koanf:"foreground_silences"` // whom a device in the foreground keeps from being pushed to
	Rate               int           `koanf:"rate"`                // pushes a second and process; what is above goes to the bulk lane. 0 = no limit, the default of a single app
	ServiceWait        time.Duration `koanf:"service_wait"`        // for a device's own service to acknowledge; then the fallback goes out

	Callback Callback `koanf:"callback"` // whom its pushes' ends are told to

	Credentials map[string]Credential `koanf:"-"` // by name

	platforms map[push.Platform]block
}

// Silences says whom a device in the foreground keeps from being pushed to.
type Silences string

// The choices.
const (
	SilencesDevice Silences = "device" // itself alone
	SilencesUser   Silences = "user"   // every device of its user
)

// Credential is a key for one platform; what else it says, its platform decodes.
type Credential struct {
	Platform push.Platform

	block block
}

// Load reads the file at path and the environment. platforms are the known ones, whose blocks it accepts. The error
// joins every mistake, each beginning with the path of its key.
func Load(path string, platforms []push.Platform) (*Config, error) {
	return load(path, platforms, nil)
}

func load(path string, platforms []push.Platform, environ func() []string) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var mistakes mistakes
	tree, err := merge(path, platforms, environ, &mistakes)
	if err != nil {
		return nil, err
	}

	c := &Config{Dir: dir, platforms: make(map[push.Platform]block)}
	for _, p := range platforms {
		c.platforms[p] = takeBlock(tree, string(p), string(p), &mistakes)
	}
	c.Apps = takeApps(tree, platforms, &mistakes)
	mistakes.join(decode("", tree, c))
	if len(mistakes) == 0 {
		c.check(&mistakes)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}

	c.API.TokensFile = c.file(c.API.TokensFile)
	c.Redis.PasswordFile = c.file(c.Redis.PasswordFile)
	c.Timeline.Redis.PasswordFile = c.file(c.Timeline.Redis.PasswordFile)
	for name, app := range c.Apps {
		app.Callback.SecretFile, app.Callback.CAFile = c.file(app.Callback.SecretFile), c.file(app.Callback.CAFile)
		c.Apps[name] = app
	}
	return c, nil
}

// Settings is what platform p gets: its own block, and its share of every app.
func (c *Config) Settings(p push.Platform, now func() time.Time) push.Settings {
	s := push.Settings{Dir: c.Dir, Block: c.platforms[p], Apps: make(map[string]push.AppSettings), Now: now}
	for name, app := range c.Apps {
		credentials := make(map[string]push.Block)
		for name, credential := range app.Credentials {
			if credential.Platform == p {
				credentials[name] = credential.block
			}
		}
		s.Apps[name] = push.AppSettings{Block: app.platforms[p], Credentials: credentials}
	}
	return s
}

// file makes a file name of the configuration absolute; "" stays.
func (c *Config) file(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.Dir, name)
}
