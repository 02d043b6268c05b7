package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

// registryReader shows devices; *registry.Registry is one.
type registryReader interface {
	Devices(ctx context.Context, app, user string) ([]registry.Device, error)
}

// phone is one device and what becomes of a message to it: "" = a push.
type phone struct {
	device   string
	platform push.Platform
	token    string
	filter   push.Reason
}

// population is the users and their phones.
type population struct {
	app    string
	now    time.Time
	phones [][]phone // by user
}

// newPopulation gives every user a phone, half of them on each platform, one in five a second one on the other platform.
// Of the first phones one in eight is in the foreground and one in eight logged out.
func newPopulation(app string, users int, now time.Time) *population {
	p := &population{app: app, now: now, phones: make([][]phone, users)}
	platforms := []push.Platform{"apns", "fcm"}
	for i := range users {
		first := phone{device: "first", platform: platforms[i%2]}
		switch i % 16 {
		case 3, 4:
			first.filter = push.ReasonForeground
		case 9, 10:
			first.filter = push.ReasonLoggedOut
		}
		p.phones[i] = append(p.phones[i], first)
		if i%5 == 0 {
			p.phones[i] = append(p.phones[i], phone{device: "second", platform: platforms[(i+1)%2]})
		}
		for j := range p.phones[i] {
			ph := &p.phones[i][j]
			if ph.token = fmt.Sprintf("%064x", 2*i+j+1); ph.platform == "fcm" {
				ph.token = app + "-token-" + strconv.Itoa(2*i+j)
			}
		}
	}
	return p
}

func (p *population) user(i int) string { return "user-" + strconv.Itoa(i) }

// events bring every phone where it is to be.
func (p *population) events(topics stream.Topics) []stream.Message {
	credentials := map[push.Platform]string{"apns": "ios", "fcm": "android"}
	var all []stream.Message
	for i, phones := range p.phones {
		for _, ph := range phones {
			event := func(topic, kind string, ago time.Duration, more map[string]any) {
				e := map[string]any{"App": p.app, "User": p.user(i), "Device": ph.device, "Event": kind, "EventTime": p.now.Add(-ago).UnixMilli()}
				maps.Copy(e, more)
				all = append(all, stream.Message{Topic: topic, Key: stream.UserKey(p.app, p.user(i)), Value: encode(e), Partition: stream.ByKey})
			}
			event(topics.Devices(), "login", 2*time.Second,
				map[string]any{"Platform": ph.platform, "Credential": credentials[ph.platform], "Token": ph.token, "Language": "en"})
			switch ph.filter {
			case push.ReasonForeground:
				event(topics.Presence(), "heartbeat", 0, map[string]any{"State": "foreground"})
			case push.ReasonLoggedOut:
				event(topics.Devices(), "logout", 0, nil)
			default:
				event(topics.Presence(), "background", 0, map[string]any{"Unread": 0})
			}
		}
	}
	return all
}

// check says which phone the registry does not show as it is to be.
func (p *population) check(ctx context.Context, reg registryReader) error {
	for i, phones := range p.phones {
		devices, err := reg.Devices(ctx, p.app, p.user(i))
		if err != nil {
			return err
		}
		if len(devices) != len(phones) {
			return fmt.Errorf("%s has %d devices, not %d", p.user(i), len(devices), len(phones))
		}
		for j, d := range devices {
			ph := phones[j]
			if d.Device != ph.device || d.Filter != ph.filter || d.BoundAt.IsZero() ||
				ph.filter == "" && (d.Presence != push.ReasonBackground || d.TokenHash != registry.TokenHash(ph.token)) {
				return fmt.Errorf("%s: %s is filtered for %q in %q, not for %q", p.user(i), d.Device, d.Filter, d.Presence, ph.filter)
			}
		}
	}
	return nil
}

// pair is one push that is due: a message at a phone.
type pair struct{ key, token string }

// killLoad is messages and what is due for them.
type killLoad struct {
	from   [][]byte
	values [][]byte
	pairs  map[pair]string // with the user and device
}

// newKillLoad makes messages, two thirds of them one-to-one, the others to groups with one to five named recipients.
func newKillLoad(t *testing.T, p *population, n int) *killLoad {
	t.Helper()
	l := &killLoad{pairs: make(map[pair]string, 4*n)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		from := "sender-" + strconv.Itoa(i%100)
		m := map[string]any{"App": p.app, "From_Account": from, "From_Nick": "Sender", "MsgTimeStamp": p.now.Unix(),
			"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": "message " + strconv.Itoa(i)}}}}
		var to []int
		if i%3 < 2 {
			to = []int{random.IntN(len(p.phones))}
			m["To_Account"], m["MsgSeq"], m["MsgRandom"] = p.user(to[0]), i+1, i+1
		} else {
			to = random.Perm(len(p.phones))[:1+random.IntN(5)]
			var names []string
			for _, user := range to {
				names = append(names, p.user(user))
			}
			m["GroupId"], m["To_Account"], m["Random"] = "group-"+strconv.Itoa(i%50), names, i+1
		}
		value := encode(m)
		msg, err := message.Parse(value, message.Envelope{Time: p.now})
		if err != nil {
			t.Fatal(err)
		}
		l.from, l.values = append(l.from, stream.UserKey(p.app, from)), append(l.values, value)
		for _, user := range to {
			for _, ph := range p.phones[user] {
				if ph.filter == "" {
					l.pairs[pair{msg.Key, ph.token}] = p.user(user) + " " + ph.device
				}
			}
		}
	}
	return l
}

func (l *killLoad) messages(topics stream.Topics) []stream.Message {
	all := make([]stream.Message, len(l.values))
	for i, value := range l.values {
		all[i] = stream.Message{Topic: topics.Messages(), Key: l.from[i], Value: value, Partition: stream.ByKey}
	}
	return all
}

// tally is what the simulators got, next to what was due.
type tally struct {
	pairs      int
	absent     []string
	duplicates int
	repeated   []string // by message and user, once for each arrival beyond the first
	unexpected []string
	refused    map[string]int // by status and reason
}

// tallyOf compares the simulators' ledgers with what was due.
func tallyOf(t *testing.T, sim *simulate.Simulation, due map[pair]string) *tally {
	t.Helper()
	s := &tally{pairs: len(due), refused: map[string]int{}}
	times := make(map[pair]int, len(due))
	for _, entry := range append(sim.APNs.Control().Ledger.Entries(""), sim.FCM.Control().Ledger.Entries("")...) {
		if entry.Status != http.StatusOK {
			s.refused[fmt.Sprintf("%s %d %s", entry.Platform, entry.Status, entry.Reason)]++
			continue
		}
		var body struct {
			MsgKey string `json:"msg_key"` // APNs
			Data   struct {
				MsgKey string `json:"msg_key"`
			} `json:"data"` // FCM
		}
		if err := json.Unmarshal(entry.Body, &body); err != nil {
			t.Fatalf("body of %s: %v", entry.ID, err)
		}
		times[pair{body.MsgKey + body.Data.MsgKey, entry.Token}]++
	}
	for p, n := range times {
		who, known := due[p]
		if !known {
			s.unexpected = append(s.unexpected, p.key+" to "+p.token)
			continue
		}
		if n > 1 {
			s.duplicates += n - 1
			s.repeated = append(s.repeated, slices.Repeat([]string{p.key + " " + who}, n-1)...)
		}
	}
	for p, who := range due {
		if times[p] == 0 {
			s.absent = append(s.absent, p.key+" to "+who)
		}
	}
	slices.Sort(s.absent)
	slices.Sort(s.unexpected)
	return s
}

// missing says how many pushes did not arrive, and some of them.
func (s *tally) missing() error {
	if len(s.absent) == 0 {
		return nil
	}
	return errors.New(some(len(s.absent), "missing", s.absent))
}

// report prints the figures and judges them.
func (s *tally) report(t *testing.T) {
	t.Helper()
	share := 100 * float64(s.duplicates) / float64(s.pairs)
	t.Logf("pairs=%d missing=%d duplicates=%d (%.2f %%) unexpected=%d", s.pairs, len(s.absent), s.duplicates, share, len(s.unexpected))
	if len(s.refused) > 0 {
		t.Logf("not accepted: %v", s.refused)
	}
	if err := s.missing(); err != nil {
		t.Error(err)
	}
	if len(s.unexpected) > 0 {
		t.Error(some(len(s.unexpected), "unexpected", s.unexpected))
	}
	switch {
	case share > duplicatesLimit:
		t.Errorf("%.2f %% duplicates, more than %.0f %%", share, duplicatesLimit)
	case share > duplicatesGoal:
		t.Logf("%.2f %% duplicates miss the goal of %.0f %%", share, duplicatesGoal)
	}
}

func some(n int, what string, all []string) string {
	return fmt.Sprintf("%d %s, such as %q", n, what, all[:min(5, len(all))])
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("a map of strings and numbers did not marshal: " + err.Error())
	}
	return b
}
