package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/telemetry"
)

const (
	probeRead = 5 * time.Second // a probe is one small request
	probeIdle = 2 * time.Minute // longer than the pause between two scrapes
	probeDial = 2 * time.Second // nobody at an address may also mean that packets vanish
)

// listenHealth serves health and metrics of a process without the api role.
func (f *fleet) listenHealth() error {
	if f.cfg.Health.Listen == "" {
		return nil
	}
	ln, err := net.Listen("tcp", f.cfg.Health.Listen)
	if err != nil {
		return fmt.Errorf("health.listen: %w", err)
	}
	server := &http.Server{Handler: telemetry.Mux(f.health, f.metrics), ReadTimeout: probeRead, ReadHeaderTimeout: probeRead,
		IdleTimeout: probeIdle, ErrorLog: zap.NewStdLog(f.log)}
	f.workers = append(f.workers, func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("health listener ended", zap.Error(err))
		}
	})
	return nil
}

// awaitReady calls OnReady once everything is ready.
func (f *fleet) awaitReady(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for f.health.Check(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	f.opts.OnReady()
}

// HealthURL is where a running process of this configuration answers /healthz: the api role's listener, or the one for
// health alone where that is silent.
func HealthURL(ctx context.Context, cfg *config.Config) (string, error) {
	for _, addr := range []string{cfg.API.Listen, cfg.Health.Listen} {
		if addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return "", fmt.Errorf("listen address %s: %w", addr, err)
		}
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		dialer := net.Dialer{Timeout: probeDial}
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			continue
		}
		return "http://" + net.JoinHostPort(host, port) + "/healthz", conn.Close()
	}
	return "", errors.New("nothing answers at api.listen nor at health.listen")
}
