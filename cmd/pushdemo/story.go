package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/dev"
	"github.com/pushfleet/pushfleet/workers/fleet"
	"github.com/pushfleet/pushfleet/workers/operate"
)

// story is the fleet and the people in it. What happened before the story happened at fixed times before its begin: a
// foreground and a background close to each other are one, the background.
type story struct {
	*client
	out   io.Writer
	begin time.Time

	cluster *stream.Cluster
	letters *operate.DeadLetters

	bobsIPhone, bobsPixel    *phone
	carolsIPhone, carolsIPad *phone
	davesIPhone, davesIPad   *phone
	erinsPixel               *phone
	sent                     int            // messages so far
	recipients               map[key]*phone // whoever got a notification, for the last step
	topics                   stream.Topics
}

// key is one message to one device.
type key struct{ message, device string }

// step is one event of the story.
type step struct {
	title string
	play  func(ctx context.Context, sc *scene) error
}

// scene is what comes of a step: what its phones should show, what they show, and what else there is to tell.
type scene struct {
	want, got []shown
	notes     []string
}

func (sc *scene) note(format string, args ...any) {
	sc.notes = append(sc.notes, fmt.Sprintf(format, args...))
}

func newStory(ready dev.Ready, out io.Writer) (*story, error) {
	api, err := newClient(ready)
	if err != nil {
		return nil, err
	}
	s := &story{client: api, out: out, begin: time.Now(), recipients: make(map[key]*phone),
		bobsIPhone: iphone("bob", "bob-iphone"), bobsPixel: android("bob", "bob-pixel"),
		carolsIPhone: iphone("carol", "carol-iphone"), carolsIPad: iphone("carol", "carol-ipad"),
		davesIPhone: iphone("dave", "dave-iphone"), davesIPad: iphone("dave", "dave-ipad"), erinsPixel: android("erin", "erin-pixel")}
	s.cluster = stream.OpenCluster(stream.ClusterConfig{Brokers: []string{ready.Kafka}, ClientID: "pushdemo"})
	s.letters = operate.NewDeadLetters(s.cluster, s.topics, fleet.Names())
	return s, nil
}

func (s *story) close() {
	s.cluster.Close()
	s.http.CloseIdleConnections()
}

// tell plays every step, and returns how many differ.
func (s *story) tell(ctx context.Context) int {
	differs := 0
	for i, step := range s.steps() {
		var sc scene
		err := step.play(ctx, &sc)
		same := err == nil && slices.Equal(sc.want, sc.got)
		verdict := "ok     "
		if !same {
			verdict = "DIFFERS"
			differs++
		}
		fmt.Fprintf(s.out, "\n%2d  %s  %s\n", i+1, verdict, step.title)
		table(s.out, sc.got)
		for _, note := range sc.notes {
			fmt.Fprintf(s.out, "      %s\n", note)
		}
		if err != nil {
			fmt.Fprintf(s.out, "      problem: %v\n", err)
		}
		if !same && len(sc.want) > 0 {
			fmt.Fprintln(s.out, "      it should be:")
			table(s.out, sc.want)
		}
	}
	return differs
}

// table prints what phones show.
func table(out io.Writer, rows []shown) {
	if len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "      DEVICE\tTEXT\tBADGE\tSOUND\tEXT")
	for _, r := range rows {
		fmt.Fprintf(w, "      %s\t%s\t%s\t%s\t%s\n", r.device, r.text, r.badge, r.sound, r.ext)
	}
	_ = w.Flush() // it fails only where out does, which nobody would read
}

// expectation is what a phone should get of one message.
type expectation struct {
	phone  *phone
	shown  shown
	filter string // why it gets none; "" = it gets one
}

// gets is an iPhone's or an Android phone's notification. sound "" is the platform's own.
func gets(p *phone, text string, badge int, sound, ext string) expectation {
	if sound == "" && p.platform == "apns" {
		sound = "default"
	}
	return expectation{phone: p, shown: shown{p.device, text, fmt.Sprint(badge), sound, ext}}
}

func none(p *phone, filter string) expectation {
	return expectation{phone: p, shown: nothing(p, filter), filter: filter}
}

// expect waits until every phone has got its notification, or the message's timeline says why it gets none.
func (s *story) expect(ctx context.Context, sc *scene, message string, expectations ...expectation) error {
	for _, x := range expectations {
		if x.filter != "" {
			if err := s.happens(ctx, message, x.phone, "filter", x.filter); err != nil {
				return err
			}
		}
		var got []shown
		if _, err := until(ctx, func(ctx context.Context) (bool, error) {
			var err error
			got, err = s.screens(ctx, x.phone, message)
			return len(got) > 0 || x.filter != "", err
		}); err != nil {
			return err
		}
		switch {
		case len(got) > 0:
			s.recipients[key{message, x.phone.device}] = x.phone
		case x.filter != "":
			got = []shown{nothing(x.phone, x.filter)}
		default:
			got = []shown{nothing(x.phone, "it has not come")}
		}
		sc.want, sc.got = append(sc.want, x.shown), append(sc.got, got...)
	}
	return nil
}

// screens returns what the phone shows of a message: one screen for each request that its provider accepted and that
// shows anything.
func (s *story) screens(ctx context.Context, p *phone, message string) ([]shown, error) {
	requests, err := s.requests(ctx, p, message)
	var screens []shown
	for _, e := range requests {
		if !e.accepted() {
			continue
		}
		screen, _, err := e.read(p)
		if err != nil {
			return nil, err
		}
		if screen.text != "" {
			screens = append(screens, screen)
		}
	}
	return screens, err
}

// requests returns what the phone's provider was asked for a message, accepted or not.
func (s *story) requests(ctx context.Context, p *phone, message string) ([]entry, error) {
	entries, err := s.ledger(ctx, p.token)
	var found []entry
	for _, e := range entries {
		_, of, err := e.read(p)
		if err != nil {
			return nil, err
		}
		if of == message {
			found = append(found, e)
		}
	}
	return found, err
}

// happens waits until the message's timeline has an event.
func (s *story) happens(ctx context.Context, message string, p *phone, disposition, reason string) error {
	want := event{p.device, disposition, reason}
	found, err := until(ctx, func(ctx context.Context) (bool, error) {
		events, err := s.timeline(ctx, message)
		return slices.Contains(events, want), err
	})
	if err == nil && !found {
		return fmt.Errorf("the timeline of %s has no %s %s on %s", message, disposition, reason, p.device)
	}
	return err
}

// login binds the phone's token, ago before the story began.
func (s *story) login(ctx context.Context, p *phone, ago time.Duration) error {
	return s.report(ctx, map[string]any{"App": app, "User": p.user, "Device": p.device, "Event": "login",
		"EventTime": s.begin.Add(-ago).UnixMilli(), "Platform": p.platform, "Token": p.token, "Credential": p.credential, "Language": p.language})
}

// presence says where the phone's app went, ago before the story began. unread negative = not known.
func (s *story) presence(ctx context.Context, p *phone, kind string, ago time.Duration, unread int) error {
	event := map[string]any{"App": app, "User": p.user, "Device": p.device, "Event": kind, "EventTime": s.begin.Add(-ago).UnixMilli()}
	if unread >= 0 {
		event["Unread"] = unread
	}
	return s.report(ctx, event)
}

// say sends a message of Alice's with these elements and members, and returns its key.
func (s *story) say(ctx context.Context, members map[string]any, elements ...element) (string, error) {
	s.sent++
	message := map[string]any{"App": app, "From_Account": "alice", "From_Nick": "Alice", "MsgSeq": s.sent, "MsgTimeStamp": time.Now().Unix(),
		"MsgRandom": s.sent, "Random": s.sent, "MsgBody": elements}
	for name, value := range members {
		message[name] = value
	}
	return s.send(ctx, message)
}

// element is one element of a message.
type element struct {
	Type    string         `json:"MsgType"`
	Content map[string]any `json:"MsgContent"`
}

func text(words string) element { return element{"TIMTextElem", map[string]any{"Text": words}} }

// to is a one-to-one message's recipient.
func to(user string) map[string]any { return map[string]any{"To_Account": user} }
