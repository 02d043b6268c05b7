package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// A message that its sender takes back is withdrawn where it is queued and found where it is shown, in whatever order the
// recall and the message arrive.
func testRow24Recall(t *testing.T, f *fixture) {
	const first, other = "0a0b0c0d", "11223344"
	type step func(name string, ref MessageRef)
	routed := func(content, origin string, want bool) step {
		return func(name string, ref MessageRef) {
			ref.Body, ref.Origin = content, origin
			if got := f.register(ref); got != want {
				t.Errorf("%s: %q from %s is routed: recalled %t", name, content, origin, got)
			}
		}
	}
	recall := func(content string, want ...string) step {
		return func(name string, ref MessageRef) {
			ref.Content = content
			origins, err := f.Recall(t.Context(), ref, f.now)
			if diff := cmp.Diff(want, origins); err != nil || diff != "" {
				t.Errorf("%s: recall of %q: %v %s", name, content, err, diff)
			}
		}
	}
	pushed := func(content string, want bool) step {
		return func(name string, ref MessageRef) {
			ref.Content = content
			if got := f.recalled(ref); got != want {
				t.Errorf("%s: a push of %q: recalled %t", name, content, got)
			}
		}
	}
	for _, row := range []struct {
		name  string
		steps []step
	}{
		{"nobody knows of it", []step{pushed("", false), pushed(first, false)}},
		{"routed, then recalled", []step{
			routed(first, "m/0/1", false), pushed("", false), recall("", "m/0/1"), pushed("", true), routed(first, "m/0/1", true),
		}},
		{"recalled before it is routed", []step{recall(""), pushed("", true), routed(first, "m/0/1", true), recall("", "m/0/1")}},
		{"recalled twice", []step{routed(first, "m/0/1", false), recall("", "m/0/1"), recall("", "m/0/1"), pushed("", true)}},
		{"the same content in several records", []step{
			routed(first, "m/0/1", false), routed(first, "m/0/12", false), routed(first, "m/0/1", false), recall("", "m/0/1", "m/0/12"),
		}},
		{"the key without a checksum is the first content's", []step{
			routed(first, "m/0/1", false), routed(other, "m/0/2", false), recall("", "m/0/1"),
			pushed("", true), pushed(other, false), routed(other, "m/0/2", false), routed(other, "m/0/3", false),
		}},
		{"the key with a checksum is that content's", []step{
			routed(first, "m/0/1", false), routed(other, "m/0/2", false), recall(other, "m/0/2"),
			pushed(other, true), pushed("", false), routed(first, "m/0/1", false), routed(other, "m/0/2", true),
		}},
		{"the first content, named by its checksum", []step{
			routed(first, "m/0/1", false), recall(first, "m/0/1"), pushed("", true), routed(first, "m/0/1", true),
		}},
		{"the first content, named by its checksum before it is routed", []step{
			recall(first), pushed("", false), routed(first, "m/0/1", true), pushed("", true),
		}},
		{"any content of a group's message is the same", []step{
			routed("", "m/0/1", false), pushed("", false), recall("", "m/0/1"), pushed("", true), routed("", "m/0/1", true),
		}},
		{"a checksum that nobody routed", []step{
			routed(first, "m/0/1", false), recall("deadbeef"), pushed("", false), routed(other, "m/0/2", false), pushed("deadbeef", true),
		}},
	} {
		for _, s := range row.steps {
			s(row.name, MessageRef{App: f.app, Key: "c2c:alice:" + row.name})
		}
	}
	if f.recalled(MessageRef{App: f.app + "next door", Key: "c2c:alice:recalled twice"}) {
		t.Error("another app's message is recalled")
	}
}

// How long a message can be found, and a recall holds.
func testRecallsEnd(t *testing.T, f *fixture) {
	life := func(ref MessageRef) time.Duration {
		return f.client.PTTL(t.Context(), messageKey(messageTag(ref.App, ref.Key))).Val().Round(time.Minute)
	}
	recall := func(ref MessageRef, at time.Time) {
		if _, err := f.Recall(t.Context(), ref, at); err != nil {
			t.Fatal(err)
		}
	}
	ref := MessageRef{App: f.app, Key: "c2c:alice:1_2_3", Origin: "m/0/1"}
	f.register(ref)
	if got := life(ref); got != f.opts.ReplayWindow {
		t.Errorf("a message is found for %s", got)
	}
	recall(ref, f.now)
	if got := life(ref); got != 7*24*time.Hour {
		t.Errorf("a recall holds for %s", got)
	}
	f.register(MessageRef{App: f.app, Key: "c2c:alice:1_2_3", Origin: "m/0/2"})
	if got := life(ref); got != 7*24*time.Hour {
		t.Errorf("a recall holds for %s after another record of the message", got)
	}
	late := MessageRef{App: f.app, Key: "c2c:alice:2_2_3"}
	recall(late, f.now.Add(-6*24*time.Hour))
	if got := life(late); got != 24*time.Hour {
		t.Errorf("a recall of six days ago holds for %s", got)
	}
	old := MessageRef{App: f.app, Key: "c2c:alice:3_2_3"}
	recall(old, f.now.Add(-7*24*time.Hour))
	if f.recalled(old) {
		t.Error("a recall of seven days ago holds")
	}
}

// Nobody makes a message key's record grow without end, and the newest stay.
func testRecallsAreBounded(t *testing.T, f *fixture) {
	ref := MessageRef{App: f.app, Key: "c2c:alice:1_2_3"}
	for i := range 40 {
		r := ref
		r.Body, r.Origin = fmt.Sprintf("%08x", i), fmt.Sprint("m/0/", i)
		f.register(r)
		r.Content = r.Body
		if _, err := f.Recall(t.Context(), r, f.now); err != nil {
			t.Fatal(err)
		}
		if !f.recalled(r) && i > 0 {
			t.Errorf("content %d is recalled", i)
		}
	}
	same := MessageRef{App: f.app, Key: "c2c:alice:2_2_3"}
	for i := range 40 {
		r := same
		r.Origin = strings.Repeat("m", 500) + fmt.Sprintf("/0/%06d", i)
		f.register(r)
	}
	origins, err := f.Recall(t.Context(), same, f.now)
	if most := 16384 / 510; err != nil || len(origins) != most || !strings.HasSuffix(origins[most-1], "/0/000039") {
		t.Errorf("%d origins, %v", len(origins), err)
	}
	packed, err := f.client.Get(t.Context(), messageKey(messageTag(ref.App, ref.Key))).Result()
	if contents := strings.Count(packed, record); err != nil || contents != 16 {
		t.Errorf("%d contents, %v", contents, err)
	}
	for _, wrong := range []MessageRef{
		{App: f.app}, {Key: "k"}, {App: f.app, Key: "k", Body: "x"}, {App: f.app, Key: "k", Content: "a,b"},
		{App: f.app, Key: "k", Origin: "m\x1f0"}, {App: f.app, Key: strings.Repeat("k", maxMsgKey+1)},
	} {
		if _, err := f.Messages(t.Context(), []MessageRef{wrong}); err == nil {
			t.Errorf("registered: %+v", wrong)
		}
		if _, err := f.Recall(t.Context(), wrong, f.now); err == nil {
			t.Errorf("recalled: %+v", wrong)
		}
	}
}

func (f *fixture) register(ref MessageRef) (recalled bool) {
	f.t.Helper()
	answers, err := f.Messages(f.t.Context(), []MessageRef{ref})
	if err != nil {
		f.t.Fatal(err)
	}
	return answers[0]
}

// recalled asks as an admission does.
func (f *fixture) recalled(ref MessageRef) bool {
	f.t.Helper()
	answers, err := f.run(f.t.Context(), "recalls", []*redis.StringCmd{recallsCall(f.t.Context(), &ref)})
	if err != nil {
		f.t.Fatal(err)
	}
	return ref.recalledIn(answers[0])
}
