package fcm

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// Platform is this package's name in topics, metrics and configuration.
const Platform push.Platform = "fcm"

// defaultEndpoint is FCM's own.
const defaultEndpoint = "https://fcm.googleapis.com"

// The styles of a message. With data the app draws the notification; with notification the system does. A background
// message has a style of its own, whatever the app's, which nobody draws.
const (
	styleData         = "data"
	styleNotification = "notification"
	styleBackground   = "background"
)

// The transports, as the configuration names them.
const (
	transportH2  = "h2"  // pkg/h2
	transportStd = "std" // golang.org/x/net/http2
)

const (
	// defaultConcurrency carries FCM's quota of 10,000 messages a second and project at an answer time of 50 ms.
	defaultConcurrency = 500
	// maxConcurrency bounds the memory of one credential: a running send takes about 20 KB.
	maxConcurrency = 20_000
	// maxQuota and maxRampUp are far above what anyone has; a slip of the pen is above them.
	maxQuota  = 1_000_000_000
	maxRampUp = time.Hour
)

// platformBlock is the top-level block fcm.
type platformBlock struct {
	Endpoint    string `koanf:"endpoint"`    // base address without a path; "" = FCM's own
	CAFile      string `koanf:"ca_file"`     // PEM; "" = the system's authorities
	Transport   string `koanf:"transport"`   // h2 | std
	Concurrency int    `koanf:"concurrency"` // running sends of one credential

	RampUp time.Duration `koanf:"ramp_up"` // in which a project's rate grows from idle to its quota; 0 = at once
}

// appBlock is the block fcm of an app.
type appBlock struct {
	Style    string            `koanf:"style"`    // data | notification
	Channels map[string]string `koanf:"channels"` // Android notification channel by sound
}

// credentialBlock is one credential.
type credentialBlock struct {
	Platform           string `koanf:"platform"`
	ServiceAccountFile string `koanf:"service_account_file"`
	ServiceAccountEnv  string `koanf:"service_account_env"` // variable with the JSON, or its base64
	ClickAction        string `koanf:"click_action"`        // action of the intent that a click starts, in style notification; "" = the app's launcher

	QuotaPerMinute int     `koanf:"quota_per_minute"` // messages that Google allows the project; 0 = no bound
	QuotaShare     float64 `koanf:"quota_share"`      // of it, for this process: what replicas and other senders leave
}

// intentAction is what a name of an intent's action looks like: no more than the name of a Java constant or package.
var intentAction = regexp.MustCompile(`^[A-Za-z0-9_.$-]{1,255}$`)

// appSettings is one app's configuration.
type appSettings struct {
	block       appBlock
	credentials map[string]credentialSettings // by name
}

// credentialSettings is one credential, whose service account is not read yet.
type credentialSettings struct {
	clickAction string
	path        string // where the configuration names the source
	source      credential.Source
	perMinute   float64 // messages that this process may send to the project; 0 = no bound
}

// settings is the whole checked configuration.
type settings struct {
	platform platformBlock
	path     string // of the platform's block
	apps     map[string]*appSettings
}

// readSettings decodes and checks every block; the error joins all mistakes, each with its path.
func readSettings(s push.Settings) (*settings, error) {
	var mistakes []error
	mistake := func(path, key, format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("%s.%s: %s", path, key, fmt.Sprintf(format, args...)))
	}
	decode := func(block push.Block, into any) {
		if err := block.Decode(into); err != nil {
			mistakes = append(mistakes, err)
		}
	}

	read := &settings{
		platform: platformBlock{Transport: transportH2, Concurrency: defaultConcurrency, RampUp: defaultRampUp},
		path:     s.Block.Path(),
		apps:     make(map[string]*appSettings, len(s.Apps)),
	}
	decode(s.Block, &read.platform)
	p := &read.platform
	if err := checkEndpoint(p.Endpoint); err != nil {
		mistake(read.path, "endpoint", "%v", err)
	}
	p.Endpoint = strings.TrimSuffix(p.Endpoint, "/")
	p.CAFile = absolute(s.Dir, p.CAFile)
	if p.Transport != transportH2 && p.Transport != transportStd {
		mistake(read.path, "transport", "%q, want h2 or std", p.Transport)
	}
	if p.Concurrency < 1 || p.Concurrency > maxConcurrency {
		mistake(read.path, "concurrency", "%d, want 1 to %d", p.Concurrency, maxConcurrency)
	}

	if p.RampUp < 0 || p.RampUp > maxRampUp {
		mistake(read.path, "ramp_up", "%s, want 0s to %s", p.RampUp, maxRampUp)
	}
	quota := defaultQuota
	if p.Endpoint != "" { // Google's quotas are no concern of another's
		quota = 0
	}

	for _, app := range slices.Sorted(maps.Keys(s.Apps)) {
		from := s.Apps[app]
		a := &appSettings{block: appBlock{Style: styleData}, credentials: make(map[string]credentialSettings, len(from.Credentials))}
		decode(from.Block, &a.block)
		if style := a.block.Style; style != styleData && style != styleNotification {
			mistake(from.Block.Path(), "style", "%q, want data or notification", style)
		}
		for _, name := range slices.Sorted(maps.Keys(from.Credentials)) {
			block := from.Credentials[name]
			c := credentialBlock{QuotaPerMinute: quota, QuotaShare: 1}
			decode(block, &c)
			switch {
			case c.ServiceAccountFile == "" && c.ServiceAccountEnv == "":
				mistake(block.Path(), "service_account_file", "missing; or service_account_env")
			case c.ServiceAccountFile != "" && c.ServiceAccountEnv != "":
				mistake(block.Path(), "service_account_file", "want only one of service_account_file, service_account_env")
			}
			if c.ClickAction != "" && !intentAction.MatchString(c.ClickAction) {
				mistake(block.Path(), "click_action", "want an intent's action, as com.example.demo.CHAT")
			}
			if c.QuotaPerMinute < 0 || c.QuotaPerMinute > maxQuota {
				mistake(block.Path(), "quota_per_minute", "%d, want 0 (no bound) to %d", c.QuotaPerMinute, maxQuota)
			}
			if !(c.QuotaShare > 0 && c.QuotaShare <= 1) { // NaN too
				mistake(block.Path(), "quota_share", "%v, want more than 0 and at most 1", c.QuotaShare)
			}
			key := "service_account_file"
			if c.ServiceAccountEnv != "" {
				key = "service_account_env"
			}
			a.credentials[name] = credentialSettings{
				clickAction: c.ClickAction,
				path:        block.Path() + "." + key,
				source:      credential.Source{File: absolute(s.Dir, c.ServiceAccountFile), Env: c.ServiceAccountEnv},
				perMinute:   float64(c.QuotaPerMinute) * c.QuotaShare,
			}
		}
		read.apps[app] = a
	}
	return read, errors.Join(mistakes...)
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	parsed, err := url.Parse(endpoint)
	switch {
	case err != nil || parsed.Scheme != "https" || parsed.Host == "":
		return errors.New("want https://host:port")
	case parsed.User != nil || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "":
		return errors.New("want nothing but https://host:port")
	}
	return nil
}

// absolute resolves a file name that may be relative to dir.
func absolute(dir, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}
