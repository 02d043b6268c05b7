// Package api is the HTTP role: chat messages, device events, memberships and receipts flow in, and are published to the
// same topics that IM services and gateways produce to; what the registry knows of a user's devices and settings and of
// a message's way flows out.
//
// It promises that 202 means durable in Kafka, and for all but messages and recalls applied to Redis as well, to the same
// effect as by the topic. A request is validated
// whole before anything of it is published: one bad line of an NDJSON body refuses the request. Memory is bounded by the
// size of a body and by a byte budget over all requests. No token, key or message text reaches a log or an error.
//
// Every call under /v1 needs a bearer token; /healthz, /readyz, /metrics and /openapi.yaml do not.
package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/timeline"
	schemasv1 "github.com/pushfleet/pushfleet/schemas/v1"
)

// Publisher writes records to Kafka. [stream.Publisher] is one.
type Publisher interface {
	// Publish queues m, blocking while the buffer is full until ctx ends, and calls done once: with nil when m is durable,
	// else with the reason why it never will be.
	Publish(ctx context.Context, m stream.Message, done func(error))
}

// Registry is the API's side of Redis. [registry.Registry] is one.
type Registry interface {
	Views
	Receipts
	Queries
}

// Views applies what the IM says of devices, users and groups.
type Views interface {
	Apply(ctx context.Context, events []registry.DeviceEvent) ([]registry.Applied, error)
	ApplyMemberships(ctx context.Context, memberships []registry.Membership) error
}

// Receipts applies what became of messages.
type Receipts interface {
	Read(ctx context.Context, receipts []registry.Receipt) ([]registry.Sync, error)
	Acknowledge(ctx context.Context, receipts []registry.Receipt) error
}

// Queries tells what is known, to people.
type Queries interface {
	Devices(ctx context.Context, app, user string) ([]registry.Device, error)
	// Settings returns nil where the user never set any.
	Settings(ctx context.Context, app, user string) (*schemasv1.UserState, error)
}

// Timeline tells a message's way, to people. [timeline.Timeline] is one.
type Timeline interface {
	Read(ctx context.Context, app, msgKey string) (timeline.Line, error)
}

// Options is what a [Server] works with. Where a default is named, zero means it.
type Options struct {
	Topics     stream.Topics
	DefaultApp string // the app of a message that names none
	TokensFile string // bearer tokens, one a line; read again whenever the file changes

	Publisher Publisher
	Registry  Registry
	Timeline  Timeline

	KnownApp        func(app string) bool
	KnownCredential func(app string, p push.Platform, credential string) bool
	// CheckToken says what is wrong with a device token, or that the platform is unknown, and never quotes the token.
	CheckToken func(p push.Platform, token string) error

	Health, Ready, Metrics http.Handler // served without a bearer token

	Now func() time.Time // the clock; default time.Now

	PublishTimeout  time.Duration // longest wait for Kafka; default 10 s
	RegistryTimeout time.Duration // longest wait for Redis; default 5 s
	ShutdownTimeout time.Duration // how long running requests may go on after the stop; default 10 s

	Registerer prometheus.Registerer // nil = no metrics of the API itself
	Logger     *zap.Logger
}

// Server serves the API. It is safe for concurrent use.
type Server struct {
	opts     Options
	tokens   *tokens
	bodies   *semaphore.Weighted // bytes of the bodies of all running requests
	requests *prometheus.CounterVec
	handler  http.Handler
}

// New reads the bearer tokens, so its error says what is wrong with their file, and builds the handlers.
func New(opts Options) (*Server, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.PublishTimeout == 0 {
		opts.PublishTimeout = 10 * time.Second
	}
	if opts.RegistryTimeout == 0 {
		opts.RegistryTimeout = 5 * time.Second
	}
	if opts.ShutdownTimeout == 0 {
		opts.ShutdownTimeout = 10 * time.Second
	}
	tokens, err := openTokens(opts.TokensFile, opts.Logger)
	if err != nil {
		return nil, fmt.Errorf("api.tokens_file: %w", err)
	}
	s := &Server{
		opts:   opts,
		tokens: tokens,
		bodies: semaphore.NewWeighted(maxBodies),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushfleet_api_requests_total",
			Help: "Requests answered by the HTTP API.",
		}, []string{"route", "code"}),
	}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(s.requests); err != nil {
			return nil, fmt.Errorf("register the API's metrics: %w", err)
		}
	}
	s.handler = s.routes()
	return s, nil
}

// registryContext bounds what a request waits for Redis.
func (s *Server) registryContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), s.opts.RegistryTimeout)
}

// Handler serves every path of the API.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves on ln until ctx ends, then lets running requests finish for the shutdown timeout. It closes ln. The error is
// nil after a stop by ctx.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // 8 MiB at 280 KB/s
		WriteTimeout:      30*time.Second + s.opts.PublishTimeout + s.opts.RegistryTimeout + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(s.opts.Logger),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the API on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		s.opts.Logger.Warn("requests were cut off at the stop", zap.Duration("after", s.opts.ShutdownTimeout))
		err = server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
