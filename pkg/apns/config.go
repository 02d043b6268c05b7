package apns

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"github.com/sideshow/apns2"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// platformConfig is the top-level block apns.
type platformConfig struct {
	Endpoint    string `koanf:"endpoint"`    // "" = Apple's host of the credential's environment
	CAFile      string `koanf:"ca_file"`     // "" = the system's roots
	Transport   string `koanf:"transport"`   // h2 | std
	Connections int    `koanf:"connections"` // most of one credential
	Concurrency int    `koanf:"concurrency"` // most pushes of one credential in flight
}

// defaultConnections is enough for what one process can send. They are opened only as load asks for them.
const defaultConnections = 4

// defaultConcurrency sends 20,000 pushes a second where Apple takes 50 ms to answer.
const defaultConcurrency = 1000

// The most that a configuration may ask for, so that a slip of the keyboard does not look like an attack to Apple.
const (
	maxConnections = 100
	maxConcurrency = 20_000
)

// appConfig is an app's block apns. It has no keys yet.
type appConfig struct{}

var bundleID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`)

func decodePlatform(block push.Block) (platformConfig, error) {
	cfg := platformConfig{Transport: transportH2, Connections: defaultConnections, Concurrency: defaultConcurrency}
	if err := block.Decode(&cfg); err != nil {
		return cfg, err
	}
	wrong := mistakes{path: block.Path()}
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || (u.Path != "" && u.Path != "/") {
			wrong.add("endpoint", "want https://host or https://host:port")
		} else {
			cfg.Endpoint = "https://" + u.Host
		}
	}
	if cfg.Transport != transportH2 && cfg.Transport != transportStd {
		wrong.add("transport", "want h2 or std")
	}
	if cfg.Connections < 1 || cfg.Connections > maxConnections {
		wrong.add("connections", fmt.Sprintf("want 1 to %d", maxConnections))
	}
	if cfg.Concurrency < 1 || cfg.Concurrency > maxConcurrency {
		wrong.add("concurrency", fmt.Sprintf("want 1 to %d", maxConcurrency))
	}
	return cfg, wrong.joined()
}

// host is where a credential pushes to.
func (c platformConfig) host(environment string) string {
	switch {
	case c.Endpoint != "":
		return c.Endpoint
	case environment == "development":
		return apns2.HostDevelopment
	}
	return apns2.HostProduction
}

// roots reads the certificates of the ca_file; nil = the system's.
func (c platformConfig) roots(dir string) (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	path := absolute(dir, c.CAFile)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s: no certificate in PEM", path)
	}
	return pool, nil
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// mistakes collects what is wrong in one block.
type mistakes struct {
	path string
	errs []error
}

func (m *mistakes) add(key, problem string) {
	m.errs = append(m.errs, fmt.Errorf("%s.%s: %s", m.path, key, problem))
}

func (m *mistakes) joined() error { return errors.Join(m.errs...) }
