package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
	"github.com/pushfleet/pushfleet/workers/callback"
	"github.com/pushfleet/pushfleet/workers/report"
)

const (
	reportBatch = 16 // a record of push.events packs up to 500 events
	// reportBytes and callbackBytes are their own: while a timeline's Redis or a receiver is away, nothing is taken from the
	// budget of the other roles.
	reportBytes   = 4 << 20
	callbackBytes = 2 << 20
	eventWeight   = 4 // of outcomes, beside receipts and what an operator sent back
	// callbackDrain is how long a stop waits for callbacks under way; the others are told again.
	callbackDrain = 2 * time.Second
)

// report adds the role's sources: one for the timeline, and one for each app that has a callback.
func (f *fleet) report() error {
	r := report.New(f.line, f.topics, time.Now, f.observe, f.log.Named("report"))
	f.metrics.WatchTimeline(func() telemetry.TimelineState { return telemetry.TimelineState(f.line.Stats()) })
	errs := []error{f.source(RoleReport, stream.SourceConfig{Group: "report", BatchRecords: reportBatch, MaxBytes: reportBytes,
		Lanes: f.reported(), DrainTimeout: f.end.drain}, r.Handle)}
	for _, app := range slices.Sorted(maps.Keys(f.cfg.Apps)) {
		if cfg := f.cfg.Apps[app].Callback; cfg.URL != "" {
			if err := f.callback(app, cfg); err != nil {
				errs = append(errs, fmt.Errorf("apps.%s.callback: %w", app, err))
			}
		}
	}
	return errors.Join(errs...)
}

// reported are the topics of what becomes of messages.
func (f *fleet) reported() []stream.Lane {
	return []stream.Lane{{Topics: []string{f.topics.Events()}, Weight: eventWeight}, {Topics: []string{f.topics.Receipts()}}}
}

// CallbackGroup is the consumer group of an app's callbacks, behind the names of the configuration.
func CallbackGroup(app string) string { return "callbacks-" + app }

// callback adds an app's callback. What was there before its first start is not told.
func (f *fleet) callback(app string, cfg config.Callback) error {
	log := f.log.Named("callbacks")
	secrets, err := callback.OpenSecrets(cfg.SecretFile, cfg.SecretEnv, log)
	if err != nil {
		return err
	}
	roots, err := rootsOf(cfg.CAFile)
	if err != nil {
		return err
	}
	c := callback.New(callback.Config{App: app, URL: cfg.URL, Secrets: secrets, TLS: roots, Batch: cfg.Batch, Linger: cfg.Linger,
		Timeout: cfg.Timeout, Concurrency: cfg.Concurrency, MaxAge: cfg.MaxAge, Topics: f.topics, Now: time.Now,
		Observe: func(app string, result callback.Result, events int, took time.Duration) {
			f.metrics.Callback(app, string(result), events, took)
		}}, f.pub, log)
	f.workers = append(f.workers, c.Run)
	return f.source(RoleReport, stream.SourceConfig{Group: CallbackGroup(app), BatchRecords: reportBatch, MaxBytes: callbackBytes,
		Lanes:        append(f.reported(), stream.Lane{Topics: []string{f.topics.Callbacks()}}),
		Start:        map[string]stream.Start{f.topics.Events(): stream.StartLatest, f.topics.Receipts(): stream.StartLatest},
		DrainTimeout: min(callbackDrain, f.end.drain)}, c.Handle)
}

// rootsOf reads the certificates of a file, by which a receiver is known; nil = the system's.
func rootsOf(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
