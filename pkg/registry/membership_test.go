package registry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// join and leave are memberships of bob in the fixture's group, unless changed.
func (f *fixture) join(user string, seconds float64) Membership {
	return Membership{App: f.app, Group: "team", User: user, Joined: at(seconds)}
}

func (f *fixture) leave(user string, seconds float64) Membership {
	return Membership{App: f.app, Group: "team", User: user, Left: at(seconds)}
}

func (f *fixture) enlist(memberships ...Membership) {
	f.t.Helper()
	if err := f.ApplyMemberships(f.t.Context(), memberships); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) size() GroupSize {
	f.t.Helper()
	sizes, err := f.Groups(f.t.Context(), []GroupRef{{f.app, "team"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return sizes[0]
}

// members are those of the group at a time, sorted.
func (f *fixture) members(when time.Time) []string {
	f.t.Helper()
	var users []string
	buckets := f.size().Buckets
	for b := range buckets {
		some, err := f.Members(f.t.Context(), f.app, "team", b, buckets, when)
		if err != nil {
			f.t.Fatal(err)
		}
		users = append(users, some...)
	}
	slices.Sort(users)
	return users
}

// A group message goes to whoever was a member when it was sent: at its time, in whole seconds. Memberships that come late
// or twice do no harm.
func testMembershipAsOfTheMessagesTime(t *testing.T, f *fixture) {
	for i, row := range []struct {
		name    string
		events  string // +s joined at second s, -s left
		in, out []int  // seconds at which a message is sent
	}{
		{"joined", "+10", []int{10, 11, 90000}, []int{0, 9}},
		{"joined within the second of the message", "+10.9", []int{10}, []int{9}},
		{"left within the second of the message", "+5 -10.5", []int{5, 10}, []int{11}},
		{"left as the second begins", "+5 -10", []int{9}, []int{10}},
		{"joined and left at once", "+5 -5", nil, []int{4, 5, 6}},
		{"back again", "+5 -10 +15", []int{5, 9, 15, 99}, []int{4, 10, 14}},
		{"back at the very time of leaving", "+5 -10 +10", []int{5, 9, 10, 99}, []int{4}},
		{"left again", "+5 -10 +15 -20", []int{5, 9, 15, 19}, []int{4, 10, 14, 20}},
		{"the stay before the last but one is forgotten", "+5 -10 +15 -20 +25", []int{15, 19, 25}, []int{9, 14, 20, 24}},
		{"a join from before the leaving comes late", "+5 -10 +7", []int{5, 9}, []int{10, 99}},
		{"a leave from before the joining comes late", "+10 -5", []int{10, 99}, []int{9}},
		{"joined once more", "+5 +10", []int{5, 9, 10}, []int{4}},
		{"an earlier join comes late", "+10 +5", []int{5, 10}, []int{4}},
		{"a stay does not begin before the leave before it", "+5 -10 +15 +7", []int{5, 9, 15}, []int{10, 14}},
		{"left without having joined", "-10", nil, []int{0, 9, 10, 99}},
		{"joined, left, told the other way round", "-10 +5", []int{5, 9}, []int{4, 10, 99}},
		{"left twice", "+5 -10 -20", []int{5, 9}, []int{10, 19, 20}},
		{"left twice, the join between comes late", "+5 -10 -20 +15", []int{5, 9, 15, 19}, []int{10, 14, 20, 99}},
		{"left three times", "+5 -10 -20 -30", []int{5, 9}, []int{10, 20, 30}},
	} {
		user := "user" + strconv.Itoa(i)
		var events []Membership
		for word := range strings.FieldsSeq(row.events) {
			seconds, err := strconv.ParseFloat(word[1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			if word[0] == '+' {
				events = append(events, f.join(user, seconds))
			} else {
				events = append(events, f.leave(user, seconds))
			}
		}
		check := func(when string) {
			t.Helper()
			for _, s := range row.in {
				if !slices.Contains(f.members(at(float64(s))), user) {
					t.Errorf("%s (%s), %s: no member at %d", row.name, row.events, when, s)
				}
			}
			for _, s := range row.out {
				if slices.Contains(f.members(at(float64(s))), user) {
					t.Errorf("%s (%s), %s: a member at %d", row.name, row.events, when, s)
				}
			}
		}
		f.enlist(events...)
		check("once")
		for from := range events { // read again after a crash
			f.enlist(events[from:]...)
		}
		check("again")
	}
}

// Whoever left is remembered as long as messages from before may be on their way, and then forgotten, and with the last
// of them the group.
func testThoseWhoLeftAreForgotten(t *testing.T, f *fixture) {
	if got := f.size(); got != (GroupSize{}) {
		t.Errorf("an unknown group: %+v", got)
	}
	stored := func() int64 {
		n, err := f.client.HLen(t.Context(), bucketKey(userTag(f.app, "team"), 0)).Result()
		if err != nil {
			t.Fatal(err)
		}
		return max(n-1, 0) // the bucket's own field
	}
	life := func(key string) time.Duration {
		ttl, err := f.client.PTTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return ttl
	}
	meta, bucket := groupKey(userTag(f.app, "team")), bucketKey(userTag(f.app, "team"), 0)
	day := float64(24 * 3600)
	step := func(name string, now float64, m Membership, present int, kept int64) {
		t.Helper()
		f.now = at(now)
		f.enlist(m)
		if got := f.size(); got.Buckets != 1 || got.Members < present {
			t.Errorf("%s: %+v", name, got)
		}
		if got := stored(); got != kept {
			t.Errorf("%s: %d users are kept, want %d", name, got, kept)
		}
	}
	step("one", 0, f.join("ann", 0), 1, 1)
	step("two", 0, f.join("bob", 0), 2, 2)
	step("one left", 100, f.leave("bob", 100), 2, 2)
	if meta, bucket := life(meta), life(bucket); meta > 0 || bucket > 0 {
		t.Errorf("while somebody is there, the group lives %s, its bucket %s", meta, bucket)
	}
	step("within 25 h", day, f.join("cat", 0), 3, 3)
	step("later", 2*day, f.join("dan", 0), 3, 3) // bob is forgotten
	if got := f.size(); got.Members != 4 && got.Members != 3 {
		t.Errorf("three are there, one left at most: %+v", got)
	}
	f.now = at(5 * day)
	if got := f.size(); got.Members != 3 {
		t.Errorf("whoever left has left long ago: %+v", got)
	}
	for i, user := range []string{"ann", "cat", "dan"} {
		step("dissolved", 5*day, f.leave(user, 5*day), 3, int64(3))
		_ = i
	}
	if meta, bucket := life(meta), life(bucket); bucket < 24*time.Hour || bucket > leftLife || meta <= bucket {
		t.Errorf("when all have left, the group lives %s, its bucket %s", meta, bucket)
	}
	step("founded anew", 5*day+60, f.join("eve", 5*day+60), 4, 4)
	if meta, bucket := life(meta), life(bucket); meta > 0 || bucket > 0 {
		t.Errorf("founded anew, the group lives %s, its bucket %s", meta, bucket)
	}
	if got := f.members(at(5*day - 1)); !slices.Equal(got, []string{"ann", "cat", "dan"}) {
		t.Errorf("members before: %q", got)
	}
	if got := f.members(at(5*day + 60)); !slices.Equal(got, []string{"eve"}) {
		t.Errorf("members after: %q", got)
	}
}

func testWrongMemberships(t *testing.T, f *fixture) {
	wrong := []Membership{
		{App: f.app, Group: "team", User: "bob"},
		{App: f.app, Group: "team", User: "bob", Joined: at(0), Left: at(1)},
		{App: f.app, Group: "team", User: "b\x1fb", Joined: at(0)},
		{App: f.app, Group: "team", Joined: at(0)},
		{App: f.app, User: "bob", Joined: at(0)},
		{App: f.app, Group: "team", User: "bob", Joined: at(100 * 3600)},
	}
	for _, m := range wrong {
		if err := f.ApplyMemberships(t.Context(), []Membership{f.join("ann", 0), m}); err == nil {
			t.Errorf("applied: %+v", m)
		}
	}
	if got := f.size(); got.Buckets != 0 {
		t.Errorf("a batch with a mistake was applied in part: %+v", got)
	}
	if err := f.RestoreMemberships(t.Context(), append(wrong, f.join("ann", 0))); err != nil {
		t.Fatal(err)
	}
	if got := f.members(at(0)); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("restored: %q", got)
	}
	for _, bucket := range []int{-1, 1} {
		if _, err := f.Members(t.Context(), f.app, "team", bucket, 1, at(0)); err == nil {
			t.Errorf("there is no bucket %d", bucket)
		}
	}
}

// Groups and users whose names hold what keys and packed values are made of do not meet each other.
func testAwkwardGroups(t *testing.T, f *fixture) {
	var memberships []Membership
	var refs []GroupRef
	for i, name := range []string{"a|b", "a%7Cb", "a{b", "a}b", "{}", "a,b", "a:0", "Ä\u00a0Ö", strings.Repeat("x", maxID)} {
		refs = append(refs, GroupRef{f.app, name})
		for n := range i + 1 {
			memberships = append(memberships, Membership{App: f.app, Group: name, User: name + strconv.Itoa(n)[:1], Joined: at(0)})
		}
	}
	for i := range memberships {
		memberships[i].User = fmt.Sprintf("%.120s", memberships[i].User)
	}
	f.enlist(memberships...)
	sizes, err := f.Groups(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range sizes {
		if i == len(sizes)-1 {
			continue // cut, all its names are one
		}
		users, err := f.Members(t.Context(), f.app, refs[i].Group, 0, 1, at(0))
		if err != nil || size.Members != i+1 || len(users) != i+1 {
			t.Errorf("group %q: %+v, %q, %v", refs[i].Group, size, users, err)
		}
	}
}
