// Package faults makes the providers' simulators fail as the providers do. A script flows in, from a file or over HTTP
// while they run: standing rules of a platform (stream limits, ages, quotas) and faults that come over requests and
// connections. For each request and connection, what it has to suffer flows out. It promises that the same script with
// the same seed gives the same faults to the same requests: a share is drawn from the seed, the fault, and the request's
// token and id, and not from the order in which requests happen to arrive.
package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Script is what a simulator is to suffer. The zero value is a provider on a good day. Times in it are counted by the
// simulator's clock from the moment at which the script was put; delays are real.
type Script struct {
	Seed   uint64  `json:"seed,omitzero"`
	APNs   APNs    `json:"apns,omitzero"`
	FCM    FCM     `json:"fcm,omitzero"`
	Faults []Fault `json:"faults,omitzero"`
}

// APNs are the standing rules of the APNs simulator.
type APNs struct {
	Latency Delay   `json:"latency,omitzero"` // of every answer
	Streams Streams `json:"streams,omitzero"`
	// TokenAge is the age at which a provider token answers 403 ExpiredProviderToken; 0 = an hour.
	TokenAge Duration `json:"token_age,omitzero"`
	// TokenInterval is how often a team may come with a newer issue time; one that comes sooner is answered 429
	// TooManyProviderTokenUpdates as long as it is too soon. 0 = as often as it likes.
	TokenInterval Duration `json:"token_interval,omitzero"`
	// WedgeExpired makes a connection that has carried an expired token answer 403 ExpiredProviderToken to everything.
	WedgeExpired bool `json:"wedge_expired,omitzero"`
	// BindConnections makes a connection that has carried a team's key answer 403 UnrelatedKeyIdInToken to any other.
	BindConnections bool   `json:"bind_connections,omitzero"`
	DeviceRate      Rate   `json:"device_rate,omitzero"` // above it 429 TooManyRequests
	Tokens          []Life `json:"tokens,omitzero"`
}

// Streams is what a connection takes at once.
type Streams struct {
	First uint32 `json:"first,omitzero"` // until its first request with a good provider token; 0 = the simulator's own setting
	Then  uint32 `json:"then,omitzero"`  // from then on; 0 = likewise
	Steps []Step `json:"steps,omitzero"` // in place of Then, also for connections that are open
}

// Step changes the limit at a time.
type Step struct {
	At      Duration `json:"at"`
	Streams uint32   `json:"streams"`
}

// FCM are the standing rules of the FCM simulator.
type FCM struct {
	Latency      Delay      `json:"latency,omitzero"` // of every answer to a valid message
	Streams      Streams    `json:"streams,omitzero"`
	TokenLife    Duration   `json:"token_life,omitzero"`    // of access tokens that are given from now on; 0 = the simulator's own setting
	RevokeAt     []Duration `json:"revoke_at,omitzero"`     // when every access token given so far becomes invalid
	ProjectQuota Quota      `json:"project_quota,omitzero"` // above it 429 QUOTA_EXCEEDED; refused messages count, 429s do not
	DeviceQuotas []Quota    `json:"device_quotas,omitzero"` // of one registration token, each of them; above it 429 QUOTA_EXCEEDED
	TopicRate    Rate       `json:"topic_rate,omitzero"`    // of one topic or condition; above it 429 QUOTA_EXCEEDED
	// CollapsibleRate is that of a device's collapsible messages. FCM accepts what is above it, and delays it; the
	// ledger gives it the reason "delayed".
	CollapsibleRate Rate   `json:"collapsible_rate,omitzero"`
	Tokens          []Life `json:"tokens,omitzero"`
}

// Rate is a bucket of Burst tokens that gets one more every Every. The zero value is no limit.
type Rate struct {
	Burst int      `json:"burst"`
	Every Duration `json:"every"`
}

// Quota is so many messages in a window, which begins with its first message. The zero value is no limit.
type Quota struct {
	Messages int      `json:"messages"`
	Per      Duration `json:"per"`
}

// Life is when a device token is good.
type Life struct {
	Token string   `json:"token"`
	From  Duration `json:"from,omitzero"`  // not registered before: APNs BadDeviceToken, FCM UNREGISTERED
	Until Duration `json:"until,omitzero"` // unregistered from then on; 0 = never
	// Reason is APNs' word for its end: Unregistered ("") or ExpiredToken.
	Reason string `json:"reason,omitzero"`
}

// The limits of a script, so that a test that goes astray does not fill the memory.
const (
	maxBytes  = 4 << 20
	maxFaults = 1000
	maxLives  = 100_000
)

// Parse reads a script in YAML or JSON. An unknown field is an error.
func Parse(content []byte) (Script, error) {
	var s Script
	if len(content) > maxBytes {
		return s, fmt.Errorf("faults: %d bytes, at most %d", len(content), maxBytes)
	}
	var tree any
	if err := yaml.Unmarshal(content, &tree); err != nil {
		return s, fmt.Errorf("faults: %w", err)
	}
	if tree == nil {
		return s, nil
	}
	encoded, err := json.Marshal(tree)
	if err != nil {
		return s, fmt.Errorf("faults: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("faults: %w", err)
	}
	return s, s.Check()
}

// Read reads a script from r.
func Read(r io.Reader) (Script, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return Script{}, fmt.Errorf("faults: %w", err)
	}
	return Parse(content)
}

// Check says what is wrong with a script, and where.
func (s Script) Check() error {
	if len(s.Faults) > maxFaults {
		return fmt.Errorf("faults: %d, at most %d", len(s.Faults), maxFaults)
	}
	for i := range s.Faults {
		if err := s.Faults[i].check(); err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
	}
	for _, rule := range []struct {
		name string
		err  error
	}{
		{"apns.latency", s.APNs.Latency.check()},
		{"apns.streams", s.APNs.Streams.check()},
		{"apns.token_age", s.APNs.TokenAge.check()},
		{"apns.token_interval", s.APNs.TokenInterval.check()},
		{"apns.device_rate", s.APNs.DeviceRate.check()},
		{"apns.tokens", checkLives(s.APNs.Tokens)},
		{"fcm.latency", s.FCM.Latency.check()},
		{"fcm.streams", s.FCM.Streams.check()},
		{"fcm.token_life", s.FCM.TokenLife.check()},
		{"fcm.revoke_at", checkEach(s.FCM.RevokeAt, Duration.check)},
		{"fcm.project_quota", s.FCM.ProjectQuota.check()},
		{"fcm.device_quotas", checkEach(s.FCM.DeviceQuotas, Quota.check)},
		{"fcm.topic_rate", s.FCM.TopicRate.check()},
		{"fcm.collapsible_rate", s.FCM.CollapsibleRate.check()},
		{"fcm.tokens", checkLives(s.FCM.Tokens)},
	} {
		if rule.err != nil {
			return fmt.Errorf("%s: %w", rule.name, rule.err)
		}
	}
	return nil
}

func (s Streams) check() error {
	for i, step := range s.Steps {
		switch {
		case step.Streams < 1:
			return fmt.Errorf("steps[%d]: streams: want 1 or more", i)
		case step.At < 0, i > 0 && step.At < s.Steps[i-1].At:
			return fmt.Errorf("steps[%d]: at: want the order of time", i)
		}
	}
	return nil
}

func (r Rate) check() error {
	if r != (Rate{}) && (r.Burst < 1 || r.Every <= 0) {
		return errors.New("want a burst of 1 or more and every of more than 0")
	}
	return nil
}

func (q Quota) check() error {
	if q != (Quota{}) && (q.Messages < 1 || q.Per <= 0) {
		return errors.New("want 1 or more messages per more than 0")
	}
	return nil
}

func checkLives(lives []Life) error {
	if len(lives) > maxLives {
		return fmt.Errorf("%d, at most %d", len(lives), maxLives)
	}
	return checkEach(lives, func(l Life) error {
		switch {
		case l.Token == "":
			return errors.New("token: missing")
		case l.From < 0, l.Until < 0, l.Until > 0 && l.Until < l.From:
			return errors.New("until: want the order of time")
		case l.Reason != "" && l.Reason != "Unregistered" && l.Reason != "ExpiredToken":
			return errors.New("reason: want Unregistered or ExpiredToken")
		}
		return nil
	})
}

func checkEach[T any](list []T, check func(T) error) error {
	for i, item := range list {
		if err := check(item); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

// of are the faults that concern a platform.
func (s Script) of(platform push.Platform) []Fault {
	var own []Fault
	for _, f := range s.Faults {
		if f.Platform == "" || f.Platform == platform {
			own = append(own, f)
		}
	}
	return own
}

// StreamsOf are the limits of a platform's connections.
func (s Script) StreamsOf(platform push.Platform) Streams {
	if platform == "fcm" {
		return s.FCM.Streams
	}
	return s.APNs.Streams
}

// At is the limit at a time after the script was put, once a connection has shown a good token; 0 = the simulator's own.
func (s Streams) At(elapsed time.Duration) uint32 {
	limit := s.Then
	for _, step := range s.Steps {
		if elapsed >= time.Duration(step.At) {
			limit = step.Streams
		}
	}
	return limit
}

// Phase of a token's life at a time after the script was put: −1 before it, 0 in it, 1 after it.
func (l Life) Phase(elapsed time.Duration) int {
	switch {
	case elapsed < time.Duration(l.From):
		return -1
	case l.Until > 0 && elapsed >= time.Duration(l.Until):
		return 1
	}
	return 0
}
