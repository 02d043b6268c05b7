package redistest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	Servers []*Server // the masters first, as they are at the start
}

const clusterTimeout = 60 * time.Second

// StartCluster starts so many masters, with so many replicas each. It returns when every node knows all slots and every
// replica follows its master.
func StartCluster(ctx context.Context, masters, replicas int, args ...string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	c := &Cluster{}
	args = append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"}, args...)
	create := []string{"--cluster", "create"}
	for range masters * (1 + replicas) {
		s, err := Start(ctx, args...)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.Servers = append(c.Servers, s)
		create = append(create, s.Addr())
	}
	create = append(create, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", create...).CombinedOutput(); err != nil { //nolint:gosec // addresses of our own servers
		c.Close()
		return nil, fmt.Errorf("redistest: the nodes form no cluster: %w: %s", err, out)
	}
	if err := c.await(ctx, replicas > 0); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// await waits until every node says that the cluster is whole.
func (c *Cluster) await(ctx context.Context, replicated bool) error {
	for _, s := range c.Servers {
		for {
			info, err := s.Do(ctx, "cluster", "info")
			replication, also := s.Do(ctx, "info", "replication")
			linked := !replicated || strings.Contains(replication, "master_link_status:up") || strings.Contains(replication, "state=online")
			if err == nil && also == nil && linked && strings.Contains(info, "cluster_state:ok") {
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(errors.New("redistest: the cluster does not become whole"), ctx.Err(), err, also)
			}
		}
	}
	return nil
}

// Addrs are those of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Close kills all nodes and removes their data.
func (c *Cluster) Close() {
	for _, s := range c.Servers {
		s.Close()
	}
}

// Do runs one command on the server and returns what redis-cli prints; an error that the server answers is one.
func (s *Server) Do(ctx context.Context, args ...string) (string, error) {
	all := append([]string{"-e", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)}, args...)
	out, err := exec.CommandContext(ctx, "redis-cli", all...).CombinedOutput() //nolint:gosec // a test names its command
	if err != nil {
		return "", fmt.Errorf("redistest: %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
