package config

import (
	"net"
	"net/url"
	"time"
)

// Callback says where an app's IM service is told what became of pushes, and how. Without a URL it is told nothing.
type Callback struct {
	URL         string        `koanf:"url"`
	SecretFile  string        `koanf:"secret_file"` // absolute; one or two secrets, for signing
	SecretEnv   string        `koanf:"secret_env"`  // or the environment variable that holds them
	CAFile      string        `koanf:"ca_file"`     // absolute; "" = the system's roots
	AllowHTTP   bool          `koanf:"allow_http"`  // without TLS to another machine
	Batch       int           `koanf:"batch"`       // events of one callback
	Linger      time.Duration `koanf:"linger"`      // how long a batch waits to be full
	Timeout     time.Duration `koanf:"timeout"`     // of one attempt
	Concurrency int           `koanf:"concurrency"` // callbacks under way in one process
	MaxAge      time.Duration `koanf:"max_age"`     // of an event that a receiver is down for; then it is a dead letter
}

// defaultCallback is what an app's callback leaves out.
func defaultCallback() Callback {
	return Callback{Batch: maxCallbackBatch, Linger: time.Second, Timeout: 5 * time.Second, Concurrency: 4, MaxAge: 24 * time.Hour}
}

const (
	maxCallbackBatch       = 100 // as in the IM's own callbacks
	maxCallbackLinger      = 10 * time.Second
	maxCallbackTimeout     = time.Minute
	maxCallbackConcurrency = 100
	// maxCallbackAge leaves a day of what push.events keeps.
	maxCallbackAge = 6 * 24 * time.Hour
)

// check notes what is out of its range; path is the callback's.
func (c Callback) check(m *mistakes, path string) {
	if c.URL == "" {
		if c != defaultCallback() {
			m.add(join(path, "url"), "required where callback has other keys")
		}
		return
	}
	c.checkURL(m, join(path, "url"))
	if (c.SecretFile == "") == (c.SecretEnv == "") {
		m.add(path, "expected secret_file or secret_env, and one of them")
	}
	between(m, join(path, "batch"), c.Batch, 1, maxCallbackBatch)
	between(m, join(path, "concurrency"), c.Concurrency, 1, maxCallbackConcurrency)
	for _, d := range []struct {
		key                string
		value, least, most time.Duration
	}{
		{"linger", c.Linger, time.Millisecond, maxCallbackLinger},
		{"timeout", c.Timeout, 100 * time.Millisecond, maxCallbackTimeout},
		{"max_age", c.MaxAge, time.Second, maxCallbackAge},
	} {
		if d.value < d.least || d.value > d.most {
			m.add(join(path, d.key), "expected from %s to %s", d.least, d.most)
		}
	}
}

// checkURL quotes nothing of a URL: a secret may stand in it.
func (c Callback) checkURL(m *mistakes, path string) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		m.add(path, "expected https://host/path")
	case u.User != nil || u.Fragment != "":
		m.add(path, "expected neither a user nor a fragment: callbacks are signed")
	case u.Scheme == "http" && !c.AllowHTTP && !loopback(u.Hostname()):
		m.add(path, "expected https; http goes to this machine alone, or where allow_http is set")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
