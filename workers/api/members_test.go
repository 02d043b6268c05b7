package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

const bobInTeam = "/v1/apps/demo/groups/team/members/bob"

func TestMembershipsGoToTheirTopicAndToRedis(t *testing.T) {
	t.Parallel()
	member := func(since string) string {
		return `{"App":"demo","Group":"team","User":"bob","JoinedTime":` + since + `}`
	}
	for name, c := range map[string]struct {
		method, body string
		value        string // of the record; "" = null
		want         registry.Membership
	}{
		"joined now":      {"PUT", "", member("1790000000000"), registry.Membership{Joined: now}},
		"joined, a body":  {"PUT", "{}", member("1790000000000"), registry.Membership{Joined: now}},
		"joined, null":    {"PUT", `{"JoinedTime":null}`, member("1790000000000"), registry.Membership{Joined: now}},
		"joined long ago": {"PUT", `{"JoinedTime":1789990000000,"Role":"owner"}`, member("1789990000000"), registry.Membership{Joined: time.UnixMilli(1789990000000)}},
		"left":            {"DELETE", "", "", registry.Membership{Left: now}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			if w := b.do(c.method, bobInTeam, "application/json", c.body); w.Code != 202 || strings.TrimSpace(w.Body.String()) != `{"accepted":1}` {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			record := stream.Message{Topic: "p.im.groups", Key: []byte("demo|team|bob"), Partition: stream.ByKey, Time: now}
			if c.value != "" {
				record.Value = []byte(c.value)
			}
			if diff := cmp.Diff([]stream.Message{record}, b.published); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			c.want.App, c.want.Group, c.want.User = "demo", "team", "bob"
			if diff := cmp.Diff([]registry.Membership{c.want}, b.registry.members); diff != "" {
				t.Errorf("applied (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTopicAndRedisHoldOneTimeOfLeaving: else a membership that begins between the two would not be known to be the newer.
func TestTopicAndRedisHoldOneTimeOfLeaving(t *testing.T) {
	t.Parallel()
	ticks := now
	b := newBench(t, func(o *Options) {
		o.Now = func() time.Time { ticks = ticks.Add(time.Second); return ticks }
	})
	if w := b.do("DELETE", bobInTeam, "", ""); w.Code != 202 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if record, applied := b.published[0].Time, b.registry.members[0].Left; !record.Equal(applied) {
		t.Errorf("the record says %s, Redis %s", record, applied)
	}
}

func TestIDsOfAMembershipAreEscapedInItsKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if w := b.do("DELETE", "/v1/apps/a%7Cb%25/groups/%E9%98%9F%2F1/members/x%7Cy", "", ""); w.Code != 202 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if got, want := string(b.published[0].Key), "a%7Cb%25|队/1|x%7Cy"; got != want {
		t.Errorf("key %q, want %q", got, want)
	}
}

func TestBadMembershipsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		field              string
	}{
		"an unknown app":      {"PUT", "/v1/apps/other/groups/team/members/bob", "", 404, "app"},
		"an id too long":      {"PUT", "/v1/apps/demo/groups/team/members/" + strings.Repeat("b", 129), "", 400, "User"},
		"a control character": {"DELETE", "/v1/apps/demo/groups/te%00am/members/bob", "", 400, "Group"},
		"not UTF-8":           {"PUT", "/v1/apps/demo/groups/te%ffam/members/bob", "", 400, "Group"},
		"not JSON":            {"PUT", bobInTeam, "yesterday", 400, "JoinedTime"},
		"a time as text":      {"PUT", bobInTeam, `{"JoinedTime":"1789990000000"}`, 400, "JoinedTime"},
		"a time in seconds":   {"PUT", bobInTeam, `{"JoinedTime":1789990000}`, 400, "JoinedTime"},
		"a time of no clock":  {"PUT", bobInTeam, `{"JoinedTime":1890000000000}`, 400, "JoinedTime"},
		"no time":             {"PUT", bobInTeam, `{"JoinedTime":0}`, 400, "JoinedTime"},
		"a body too large":    {"PUT", bobInTeam, `{"Role":"` + strings.Repeat("x", maxMembership) + `"}`, 413, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			p := problemOf(t, b.do(c.method, c.path, "application/json", c.body), c.status)
			if !strings.Contains(p.Field+" "+p.Detail, c.field) {
				t.Errorf("field %q: %s; want %q", p.Field, p.Detail, c.field)
			}
			if len(b.published) != 0 || len(b.registry.members) != 0 {
				t.Error("something of a refused request was published or applied")
			}
		})
	}
}

func TestRedisAwayAfterAMembershipIsDurable(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.registry.err = errors.New("dial tcp: refused")
	if p := problemOf(t, b.do("PUT", bobInTeam, "", ""), 503); !strings.Contains(p.Detail, "durable in Kafka") || len(b.published) != 1 {
		t.Errorf("%d published: %s", len(b.published), p.Detail)
	}
}
