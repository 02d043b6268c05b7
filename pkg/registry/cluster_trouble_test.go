package registry

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/registry/redistest"
)

func startCluster(t *testing.T, masters, replicas int) (*redistest.Cluster, *troubled) {
	t.Helper()
	needsServers(t)
	c, err := redistest.StartCluster(t.Context(), masters, replicas)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, newTroubled(t, c.Addrs()...)
}

// masterOf is who has bob's slot as some node sees it, and that master's replica; nil = none.
func (w *troubled) masterOf(c *redistest.Cluster, seenBy *redistest.Server) (master, replica *redistest.Server) {
	w.t.Helper()
	slot := strconv.Itoa(slotOf(userTag(w.app, "bob")))
	nodes := do(w.t, seenBy, "cluster", "nodes")
	byID := map[string]*redistest.Server{}
	masterID := ""
	for line := range strings.Lines(nodes) {
		f := strings.Fields(line)
		for _, s := range c.Servers {
			if strings.HasPrefix(f[1], s.Addr()+"@") {
				byID[f[0]] = s
			}
		}
		for _, slots := range f[min(8, len(f)):] {
			from, to, several := strings.Cut(slots, "-")
			if !several {
				to = from
			}
			if within16(from, slot, to) {
				masterID = f[0]
			}
		}
	}
	for line := range strings.Lines(nodes) {
		if f := strings.Fields(line); f[3] == masterID && strings.Contains(f[2], "slave") {
			replica = byID[f[0]]
		}
	}
	return byID[masterID], replica
}

// within16 compares slots.
func within16(from, slot, to string) bool {
	numbers := make([]int, 0, 3)
	for _, s := range []string{from, slot, to} {
		n, err := strconv.Atoi(s)
		if err != nil {
			return false
		}
		numbers = append(numbers, n)
	}
	return slices.IsSorted(numbers)
}

// other is a node that is neither of the two.
func other(c *redistest.Cluster, not ...*redistest.Server) *redistest.Server {
	for _, s := range c.Servers {
		if !slices.Contains(not, s) {
			return s
		}
	}
	return nil
}

// TestClusterFailsOver: the master of a user's slot is killed; its replica is promoted by the others.
func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	c, w := startCluster(t, 3, 1)
	master, replica := w.masterOf(c, c.Servers[0])
	caughtUp(t, master, replica)
	master.Kill()
	if failed := w.try(t.Context(), false); failed == 0 {
		t.Error("nothing failed without the master")
	}
	if why := w.why(); why == "" {
		t.Error("readiness does not say that a master is away")
	}
	w.goesOn()
	if now, _ := w.masterOf(c, replica); now != replica {
		t.Error("the replica is not the master")
	}
}

// TestClusterMasterIsDemoted: an operator has the replica take over; what comes to the master is sent on.
func TestClusterMasterIsDemoted(t *testing.T) {
	t.Parallel()
	c, w := startCluster(t, 3, 1)
	master, replica := w.masterOf(c, c.Servers[0])
	do(t, replica, "cluster", "failover")
	within(t, "the replica takes over", func() bool {
		w.try(t.Context(), false)
		now, _ := w.masterOf(c, other(c, master, replica))
		return now == replica
	})
	w.goesOn()
}

// TestClusterIsDown: a master without a replica is killed; the others answer for nobody's slots (CLUSTERDOWN). It comes
// back without its data: its slots' markers are missing, and the registry is not ready before they are rebuilt.
func TestClusterIsDown(t *testing.T) {
	t.Parallel()
	c, w := startCluster(t, 3, 0)
	bob := w.binding("bob", "phone")
	master, _ := w.masterOf(c, c.Servers[0])
	survivor := other(c, master)
	master.Kill()
	within(t, "the cluster is down", func() bool { return strings.Contains(do(t, survivor, "cluster", "info"), "cluster_state:fail") })
	if failed := w.try(t.Context(), false); failed == 0 {
		t.Error("nothing failed")
	}
	if why := w.why(); !strings.Contains(why, "CLUSTERDOWN") && !strings.Contains(why, "refused") {
		t.Errorf("readiness says %q", why)
	}
	if err := master.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "the master is back, empty", func() bool {
		w.try(t.Context(), true)
		return errors.Is(w.Ready(t.Context()), ErrEmpty)
	})
	for began := time.Now(); time.Since(began) < time.Second; { // it does not heal by waiting
		if w.try(t.Context(), true) == 0 {
			t.Fatal("decided without the marker")
		}
	}
	w.rebuild(bob)
	w.goesOn()
}
