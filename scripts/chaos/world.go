package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/pkg/stream/kafkatest"
	"github.com/pushfleet/pushfleet/scripts/chaos/load"
)

const (
	app     = "chaos"
	brokers = 3

	// The delays between attempts are shorter than an operator would choose, so that a run sees many of them.
	retries = `{delays: [1s, 4s, 15s], max_attempts: 20, park: 5s, grace: 5s}`
)

// delays are those of retries.
var delays = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}

// world is everything that runs: brokers, Redis, providers, what stands between them and the workers, and the workers.
type world struct {
	dir       string
	proxies   *proxies
	providers *providers
	redis     *redisServer
	kafka     *kafkatest.Cluster
	cluster   *stream.Cluster
	pub       *stream.Publisher
	topics    stream.Topics
	workers   *workers
	people    *load.Population
}

// startWorld starts it all but the workers.
func startWorld(ctx context.Context, seed uint64, binary string) (_ *world, err error) {
	w := &world{proxies: newProxies(), people: load.NewPopulation(app, seed)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "chaos"); err != nil {
		return nil, err
	}
	if w.providers, err = startProviders(w.dir); err != nil {
		return nil, err
	}
	if w.redis, err = startRedis(ctx); err != nil {
		return nil, err
	}
	var problems []error
	w.kafka, err = kafkatest.Start(ctx, kafkatest.Config{Nodes: brokers, Advertise: func(node int, addr string) string {
		proxied, err := w.proxies.open(proxyBroker(node), addr)
		problems = append(problems, err)
		return proxied
	}})
	if err = errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	config, err := w.configure()
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, binary, "topics", "apply", "--config", config).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("topics apply: %w: %s", err, out)
	}
	w.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: w.kafka.Addrs()})
	w.pub = w.cluster.NewPublisher(stream.PublisherConfig{})
	w.workers = newWorkers(binary, config, w.dir)
	return w, nil
}

// configure opens the other proxies and writes the fleet's configuration.
func (w *world) configure() (string, error) {
	redis, err := w.proxies.open(proxyRedis, w.redis.Addr())
	if err != nil {
		return "", err
	}
	apns, err := w.proxies.openURL(proxyAPNs, w.providers.apns.URL())
	if err != nil {
		return "", err
	}
	fcm, err := w.proxies.openURL(proxyFCM, w.providers.fcm.URL())
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf(`
kafka: {brokers: [%[1]s], start: earliest}
redis: {addrs: [%[2]q]}
topics: {replication: %[3]d}
retry: %[4]s
default_app: %[5]s
apps:
  %[5]s:
    fcm: {style: data}
    credentials:
      ios: {platform: apns, key_file: %[6]q, key_id_file: %[7]q, team_id: %[8]s, bundle_id: %[9]s, environment: production}
      android: {platform: fcm, service_account_file: %[10]q}
apns: {endpoint: %[11]q, ca_file: %[13]q}
fcm: {endpoint: %[12]q, ca_file: %[13]q}
`, `"`+strings.Join(w.kafka.Addrs(), `", "`)+`"`, redis, brokers, retries, app, w.providers.p8(), w.providers.keyID(), team, bundle,
		w.providers.account(), apns, fcm, w.providers.caFile())
	file := filepath.Join(w.dir, "config.yml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// close ends everything at once. The folder with the logs stays.
func (w *world) close() {
	if w.workers != nil {
		_ = w.workers.close(false) // whatever state they are in
	}
	if w.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.pub.Close(ctx) // nothing waits for what it still holds
		w.cluster.Close()
	}
	if w.kafka != nil {
		w.kafka.Close()
	}
	if w.redis != nil {
		w.redis.Close()
	}
	if w.providers != nil {
		w.providers.close()
	}
	w.proxies.close()
}
