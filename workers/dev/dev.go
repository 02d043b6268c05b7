// Package dev is the embedded default: a folder flows in; a whole fleet in one process flows out, with a Kafka, a Redis
// and both providers' simulators inside it, and a configuration file with which pushctl reaches it. It promises that
// messages, offsets and devices outlive a restart on the same folder: the embedded Kafka keeps its log there, and the
// embedded Redis, which forgets, is rebuilt from push.registry like a real one that lost its data.
package dev

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/config"
	redisembedded "github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
	kafkaembedded "github.com/pushfleet/pushfleet/pkg/stream/embedded"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

// Options says where things are; empty addresses are free ports of 127.0.0.1.
type Options struct {
	DataDir                                                     string
	KafkaAddr, RedisAddr, APIAddr, APNsAddr, FCMAddr, AdminAddr string
	JSON                                                        bool      // the ready line as JSON
	Out                                                         io.Writer // takes the ready line, and nothing else
	Logger                                                      *zap.Logger
}

// Ready is the ready line: where everything can be reached. Paths are absolute.
type Ready struct {
	Kafka   string `json:"kafka"`
	Redis   string `json:"redis"`
	API     string `json:"api"`
	APNs    string `json:"apns"`
	FCM     string `json:"fcm"`
	Admin   string `json:"admin"` // of the simulators
	CAFile  string `json:"ca_file"`
	DataDir string `json:"data_dir"`
	Config  string `json:"config"`
}

// Run runs until ctx ends, and writes the ready line once every role has begun to read.
func Run(ctx context.Context, opts Options) error {
	dir, err := filepath.Abs(opts.DataDir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	kafkaDir := filepath.Join(dir, "kafka")
	if err := os.MkdirAll(kafkaDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	kafka, err := kafkaembedded.Start(kafkaembedded.Config{DataDir: kafkaDir, Addr: opts.KafkaAddr})
	if err != nil {
		return fmt.Errorf("embedded Kafka: %w", err)
	}
	defer kafka.Close()
	redis, err := redisembedded.Start(redisembedded.Config{Addr: opts.RedisAddr})
	if err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	defer redis.Close()
	sim, err := simulate.Start(simulate.Config{Dir: dir, APNs: true, FCM: true, APNsAddr: opts.APNsAddr, FCMAddr: opts.FCMAddr, AdminAddr: opts.AdminAddr})
	if err != nil {
		return err
	}
	defer func() {
		if err := sim.Close(); err != nil {
			opts.Logger.Warn("simulators closed with an error", zap.Error(err))
		}
	}()
	listener, err := listen(opts.APIAddr)
	if err != nil {
		return err
	}
	ready := Ready{Kafka: kafka.Addr(), Redis: redis.Addr(), API: "http://" + listener.Addr().String(), APNs: sim.APNs.URL(),
		FCM: sim.FCM.URL(), Admin: sim.Admin.URL(), CAFile: sim.CAFile, DataDir: dir, Config: filepath.Join(dir, "config.yml")}
	cfg, err := configure(dir, ready, sim)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return run(ctx, opts, cfg, listener, ready)
}

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return ln, nil
}

// run creates the topics and runs every role.
func run(ctx context.Context, opts Options, cfg *config.Config, listener net.Listener, ready Ready) error {
	if err := apply(ctx, cfg, opts.Logger); err != nil {
		return errors.Join(err, listener.Close())
	}
	return fleet.Run(ctx, fleet.Options{Config: cfg, Roles: fleet.Roles(), Logger: opts.Logger, APIListener: listener, OnReady: func() {
		if err := ready.write(opts.Out, opts.JSON); err != nil {
			opts.Logger.Error("ready line not written", zap.Error(err))
		}
	}})
}

func apply(ctx context.Context, cfg *config.Config, log *zap.Logger) error {
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: cfg.Kafka.Brokers, Logger: log.Named("kafka")})
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := cluster.Apply(ctx, fleet.Layout(cfg)); err != nil {
		return fmt.Errorf("create the topics: %w", err)
	}
	return nil
}

// write writes the ready line: one JSON object, or a text for people.
func (r Ready) write(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := fmt.Fprintf(out, `pushfleet is ready. In another terminal:

  %[8]s --config %[1]s device set bob bob-iphone --platform apns --credential demo-ios --token %[2]s
  %[8]s --config %[1]s device presence bob bob-iphone background --unread 4
  %[8]s --config %[1]s send --from alice --nick Alice --to bob --text hello
  curl %[3]s/ledger        # what the phones got

Kafka %[4]s, Redis %[5]s, API %[6]s. Everything is kept in %[7]s.
`, r.Config, exampleToken, r.Admin, r.Kafka, r.Redis, r.API, r.DataDir,
		filepath.Join(filepath.Dir(os.Args[0]), "pushctl")) // beside this program, however it was called
	return err
}

// exampleToken is a well-formed token for the text above.
const exampleToken = "abababababababababababababababababababababababababababababababab"

// configure writes the configuration file and the API's bearer token, and loads the former.
func configure(dir string, ready Ready, sim *simulate.Simulation) (*config.Config, error) {
	tokens := filepath.Join(dir, "tokens")
	if err := bearer(tokens); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`# Written by pushfleet dev at every start.
kafka: {brokers: [%q], start: earliest}
redis: {addrs: [%q]}
api: {listen: %q, tokens_file: %q}
default_app: demo
apps:
  demo:
    fcm: {style: data, channels: {ding.caf: chat}}
    credentials:
      demo-ios: {platform: apns, key_file: %q, key_id: %s, team_id: %s, bundle_id: %s, environment: production}
      demo-android: {platform: fcm, service_account_file: %q}
apns: {endpoint: %q, ca_file: %q}
fcm: {endpoint: %q, ca_file: %q}
`, ready.Kafka, ready.Redis, ready.API[len("http://"):], tokens, sim.KeyFile, simulate.KeyID, simulate.TeamID, simulate.BundleID,
		sim.ServiceAccountFile, ready.APNs, ready.CAFile, ready.FCM, ready.CAFile)
	if err := os.WriteFile(ready.Config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return config.Load(ready.Config, fleet.Names())
}

// bearer makes the API's token file where there is none.
func bearer(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	var secret [24]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("bearer token: %w", err)
	}
	return os.WriteFile(path, []byte(hex.EncodeToString(secret[:])+"\n"), 0o600)
}
