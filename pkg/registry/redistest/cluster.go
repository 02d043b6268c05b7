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
	if out, err := exec.CommandContext(ctx, "redis-cli", create...).CombinedOutput(); err != nil {
		c.Close()
		return nil, fmt.Errorf("redistest: the nodes form no cluster: %w: %s", err, out)
	}
	if err := c.await(ctx, masters*replicas); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// await waits until every node says that the cluster is whole, knows all replicas, and has its replicas or master.
func (c *Cluster) await(ctx context.Context, replicas int) error {
	for _, s := range c.Servers {
		for {
			info, err1 := s.Do(ctx, "cluster", "info")
			nodes, err2 := s.Do(ctx, "cluster", "nodes")
			replication, err3 := s.Do(ctx, "info", "replication")
			linked := replicas == 0 || strings.Contains(replication, "master_link_status:up") || strings.Contains(replication, "state=online")
			if linked && strings.Contains(info, "cluster_state:ok") && strings.Count(nodes, "slave ") == replicas {
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(errors.New("redistest: the cluster does not become whole"), ctx.Err(), err1, err2, err3)
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
