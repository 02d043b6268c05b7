// Package kafkatest is a cluster of real Kafka nodes for tests and for the chaos program. Each node is a process that can
// be killed, frozen and started again; the whole is on the loopback interface and gone after Close, also where the
// process that started it is killed (on Linux). The broker's jars come from scripts/kafka/libs, which needs Java 17 or
// newer, and Maven for the first run; so the package works inside a checkout alone.
package kafkatest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config of a cluster. Zero values are the defaults named.
type Config struct {
	Nodes int // 1 or 3; 3. With three, everything is kept three times and two must have a record (min.insync.replicas)

	// Advertise returns the address at which clients find a node that listens on addr, both host:port: for a proxy in
	// between. nil = addr. The nodes reach each other by other ports.
	Advertise func(node int, addr string) string

	// Authorize makes the nodes look at ACLs. Clients are anonymous, and may do what no ACL speaks of; the nodes log in at
	// each other and may do everything.
	Authorize bool

	// Settings are broker settings that a test wants otherwise, beside those of scripts/kafka/node.properties.
	Settings map[string]string
}

// Cluster is a running cluster. Nodes are numbered from 0; Kafka calls node i broker i+1. Methods may be called from any
// goroutine, but for one node one at a time.
type Cluster struct {
	dir   string
	nodes []*node
	addrs []string
	close sync.Once
}

// startTimeout bounds the start of a node. On two idle cores three of them take 9 s, on two that everybody works on minutes.
const startTimeout = 3 * time.Minute

// Start starts the nodes, and returns when each has joined the cluster and takes requests. The first call on a machine
// fetches 45 MB.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	if cfg.Nodes != 1 && cfg.Nodes != 3 {
		return nil, fmt.Errorf("kafkatest: %d nodes, want 1 or 3", cfg.Nodes)
	}
	scripts, err := scriptsDir()
	if err != nil {
		return nil, err
	}
	libs, err := exec.CommandContext(ctx, filepath.Join(scripts, "libs")).Output()
	if err != nil {
		return nil, fmt.Errorf("kafkatest: the broker's jars: %w", explained(err))
	}
	dir, err := os.MkdirTemp("", "kafkatest")
	if err != nil {
		return nil, fmt.Errorf("kafkatest: %w", err)
	}
	c := &Cluster{dir: dir}
	if err := c.start(ctx, cfg, scripts, strings.TrimSpace(string(libs))); err != nil {
		c.Close()
		return nil, fmt.Errorf("kafkatest: %w", err)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, cfg Config, scripts, libs string) error {
	common, err := os.ReadFile(filepath.Join(scripts, "node.properties"))
	if err != nil {
		return err
	}
	layouts, err := newLayouts(cfg)
	if err != nil {
		return err
	}
	java := []string{
		"-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
		"-Dlog4j2.configurationFile=" + filepath.Join(scripts, "log4j2.properties"), "-cp", filepath.Join(libs, "*"),
	}
	for i, l := range layouts {
		n := &node{java: java, properties: filepath.Join(c.dir, fmt.Sprintf("node%d.properties", i)), data: filepath.Join(c.dir, fmt.Sprintf("node%d", i))}
		if err := os.WriteFile(n.properties, append(bytes.Clone(common), l.properties(layouts, n.data, cfg)...), 0o600); err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
		c.addrs = append(c.addrs, l.advertised)
	}
	id := newID()
	if err := c.each(func(n *node) error { return n.format(ctx, id, voters(layouts)) }); err != nil {
		return err
	}
	return c.each(func(n *node) error { return n.start(ctx) })
}

// each calls fn for all nodes at once.
func (c *Cluster) each(fn func(*node) error) error {
	errs := make([]error, len(c.nodes))
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		wg.Go(func() {
			if err := fn(n); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Addrs returns host:port of every node, as clients are to reach it. They stay the same over a restart.
func (c *Cluster) Addrs() []string { return c.addrs }

// DataDir returns the folder of a node's logs, one folder a partition, named topic-partition: for damage on the disk.
func (c *Cluster) DataDir(node int) string { return c.nodes[node].data }

// Kill ends a node as a power cut of its process would: SIGKILL. What it has written stays. A node that does not run is
// left alone.
func (c *Cluster) Kill(node int) { c.nodes[node].kill() }

// Restart starts a node that was killed, with its data and its addresses, and returns when it takes requests; one that
// still runs is killed first.
func (c *Cluster) Restart(ctx context.Context, node int) error {
	n := c.nodes[node]
	n.kill()
	if err := n.start(ctx); err != nil {
		return fmt.Errorf("kafkatest: node %d: %w", node, err)
	}
	return nil
}

// Pause freezes a node (SIGSTOP): its connections stay open, and nothing answers.
func (c *Cluster) Pause(node int) error { return c.nodes[node].signal(syscall.SIGSTOP) }

// Continue ends Pause.
func (c *Cluster) Continue(node int) error { return c.nodes[node].signal(syscall.SIGCONT) }

// Close kills all nodes and removes their data.
func (c *Cluster) Close() {
	c.close.Do(func() {
		for _, n := range c.nodes {
			n.kill()
		}
		_ = os.RemoveAll(c.dir) // what is left is in the system's folder for such things
	})
}

// scriptsDir finds scripts/kafka of the checkout that the process runs in.
func scriptsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("kafkatest: %w", err)
	}
	for from := dir; ; dir = filepath.Dir(dir) {
		scripts := filepath.Join(dir, "scripts", "kafka")
		if _, err := os.Stat(filepath.Join(scripts, "node.properties")); err == nil {
			return scripts, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("kafkatest: %s is not inside a checkout: no scripts/kafka above it", from)
		}
	}
}

// newID returns an id of Kafka's form: 16 bytes, URL-safe base64; a leading hyphen would read as an option.
func newID() string {
	for {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id
		}
	}
}

// explained adds what a command wrote to stderr.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
