package stream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// strike makes the next requests for the flow's topic go wrong, whichever node they are sent to.
func (r *rig) strike(f *flow, with fault) (hits func() int) {
	with.topic = f.topic
	faults := make([]*fault, len(r.wires))
	for i, w := range r.wires {
		with := with
		faults[i] = &with
		w.inject(faults[i])
	}
	return func() (n int) {
		for i, w := range r.wires {
			n += w.struck(faults[i])
		}
		return n
	}
}

func testProduceReplyLost(t *testing.T, r *rig) {
	f := r.flow(t, 2)
	hits := r.strike(f, fault{api: protocol.Produce, times: 2, lose: true})
	f.write(20)
	reread, rewritten := f.whole()
	if hits() == 0 {
		t.Fatal("no reply was lost")
	}
	if reread != 0 || rewritten == 0 {
		t.Errorf("%d records read again, %d written again; want none and some", reread, rewritten)
	}
	if n := f.p.Stats().Failed; n != 0 {
		t.Errorf("%d records given up", n)
	}
	f.ready()
	f.quiet()
	t.Logf("%d replies lost, %d records written twice", hits(), rewritten)
}

func testProduceTimesOut(t *testing.T, r *rig) {
	f := r.flow(t, 1)
	release := make(chan struct{})
	hits := r.strike(f, fault{api: protocol.Produce, times: 1, hold: release})
	began, before := time.Now(), f.p.Stats()
	f.write(10)
	f.until("the request is given up and written again", func() bool { return f.p.Stats().RequestErrors > before.RequestErrors })
	close(release)
	if took := time.Since(began); hits() != 1 || took < produceTimeout-time.Second {
		t.Errorf("given up after %s, %d requests held", took, hits())
	}
	f.whole()
	f.ready()
	f.quiet()
}

// deny adds rules for everybody: all may be done with the resource, but for what is denied.
func (f *flow) deny(resource kafka.ResourceType, name string, denied kafka.ACLOperationType) (allow func()) {
	f.t.Helper()
	entry := func(operation kafka.ACLOperationType, permission kafka.ACLPermissionType) kafka.ACLEntry {
		return kafka.ACLEntry{ResourceType: resource, ResourceName: name, ResourcePatternType: kafka.PatternTypeLiteral,
			Principal: "User:*", Host: "*", Operation: operation, PermissionType: permission}
	}
	res, err := f.cluster.client.CreateACLs(contextFor(f.t), &kafka.CreateACLsRequest{ACLs: []kafka.ACLEntry{
		entry(kafka.ACLOperationTypeAll, kafka.ACLPermissionTypeAllow), entry(denied, kafka.ACLPermissionTypeDeny),
	}})
	if err == nil {
		for _, err = range res.Errors {
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return func() {
		f.t.Helper()
		_, err := f.cluster.client.DeleteACLs(contextFor(f.t), &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
			ResourceTypeFilter: resource, ResourceNameFilter: name, ResourcePatternTypeFilter: kafka.PatternTypeLiteral,
			Operation: kafka.ACLOperationTypeAny, PermissionType: kafka.ACLPermissionTypeAny,
		}}})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

func testReadDenied(t *testing.T, r *rig) {
	f := r.flow(t, 2)
	other := r.flow(t, 2)
	both := other.run(SourceConfig{Group: other.group + "-both", Lanes: []Lane{{Topics: []string{f.topic, other.topic}}}}, nil)
	f.until("both topics are read", func() bool { return len(both.all()) == 40 })
	allow := f.deny(kafka.ResourceTypeTopic, f.topic, kafka.ACLOperationTypeRead)
	began, before := time.Now(), both.Stats()
	f.until("readiness names the topic and why", func() bool {
		err := both.Ready()
		return err != nil && containsText(err, f.topic) && containsText(err, kafka.TopicAuthorizationFailed.Title())
	})
	f.write(20)
	other.write(20)
	f.until("the other topic goes on", func() bool { return len(both.all()) == 60 })
	f.until("and is committed", func() bool {
		var sum int64
		for _, at := range other.committedOffsets(both.cfg.Group, other.topic, 2) {
			sum += at
		}
		return sum == 40
	})
	f.bounded("fetches that failed", both.Stats().FetchErrors-before.FetchErrors, 12, began)
	allow()
	f.until("what was held back is read", func() bool { return len(both.all()) == 80 })
	f.until("readiness says that all is well", func() bool { return both.Ready() == nil })
	if n, m := f.whole(); n+m != 0 {
		t.Errorf("%d records read again, %d written again", n, m)
	}
	f.quiet()
	other.quiet()
}

func testWriteDenied(t *testing.T, r *rig) {
	f := r.flow(t, 2)
	other := r.flow(t, 1)
	allow := f.deny(kafka.ResourceTypeTopic, f.topic, kafka.ACLOperationTypeWrite)
	began, before := time.Now(), f.p.Stats()
	f.writeUntil("readiness names the topic and why", func() bool { // the brokers learn of an ACL one after the other
		err := f.p.Ready()
		return err != nil && containsText(err, f.topic) && containsText(err, kafka.TopicAuthorizationFailed.Title())
	})
	f.publish(f.p, other.topic, 0, "other topics are written")
	f.bounded("requests", f.p.Stats().Requests-before.Requests, 20, began)
	allow()
	if n, m := f.whole(); n+m != 0 {
		t.Errorf("%d records read again, %d written again: a refused batch is not written", n, m)
	}
	f.ready()
	f.quiet()
}

func testGroupDenied(t *testing.T, r *rig) {
	f := r.flow(t, 2)
	began := time.Now()
	allow := f.deny(kafka.ResourceTypeGroup, f.group, kafka.ACLOperationTypeRead)
	f.write(20)
	f.until("readiness names the group and why", func() bool {
		err := f.members[0].Ready()
		return err != nil && containsText(err, f.group) && containsText(err, kafka.GroupAuthorizationFailed.Title())
	})
	f.bounded("generations", f.members[0].Stats().Generations, 4, began)
	allow()
	f.whole()
	f.ready()
	if diff := cmp.Diff(0, len(f.failed)); diff != "" {
		t.Error(diff)
	}
	f.quiet()
}
