package main

import (
	"context"
	"time"
)

// steps is the story. Each step goes on from what those before it left.
func (s *story) steps() []step {
	return []step{
		{"Alice writes to Bob, who looks at the app: nothing is pushed", s.foreground},
		{"Bob puts the app away with 4 unread messages: the next one is pushed, and is the fifth", s.background},
		{"the app is killed: pushed all the same", s.killed},
		{"Bob has an Android phone as well: both get it", s.bothPhones},
		{"Alice, Ali in the group Team, writes to the group: to Bob and Carol", s.group},
		{"a custom element brings its own text, sound and extension: on both platforms", s.custom},
		{"Dave and Erin join the Club: a message to the Club goes to every member", s.members},
		{"Dave wants the Club's messages only where he is mentioned", s.mentioned},
		{"Erin wants an hour of quiet: filtered", s.quiet},
		{"Dave reads a message on his iPad: the number on his iPhone is corrected", s.readElsewhere},
		{"Alice takes a message back: what the iPhone shows is replaced", s.takenBack},
		{"Alice calls Dave: it rings, whatever the other lanes hold", s.rings},
		{"Erin's phone has a service of its own: FCM only where that does not acknowledge", s.ownService},
		{"Carol's iPad has lost the app: its token is forgotten, and the next message makes no request for it", s.tokenGone},
		{"the provider is down for two requests: retried, and delivered once", s.retried},
		{"the provider refuses a message: a dead letter, which arrives once it is sent back", s.redriven},
		{"a record that nobody can read: set aside, and the message behind it arrives", s.unreadable},
		{"looking back: no phone got anything twice", s.once},
	}
}

func (s *story) foreground(ctx context.Context, sc *scene) error {
	if err := s.login(ctx, s.bobsIPhone, 60*time.Second); err != nil {
		return err
	}
	if err := s.presence(ctx, s.bobsIPhone, "foreground", 50*time.Second, 0); err != nil {
		return err
	}
	message, err := s.say(ctx, to("bob"), text("are you there?"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message, none(s.bobsIPhone, "foreground"))
}

func (s *story) background(ctx context.Context, sc *scene) error {
	if err := s.presence(ctx, s.bobsIPhone, "background", 40*time.Second, 4); err != nil {
		return err
	}
	message, err := s.say(ctx, to("bob"), text("hello"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message, gets(s.bobsIPhone, "Alice:hello", 5, "", ""))
}

func (s *story) killed(ctx context.Context, sc *scene) error {
	if err := s.presence(ctx, s.bobsIPhone, "killed", 30*time.Second, -1); err != nil {
		return err
	}
	message, err := s.say(ctx, to("bob"), text("still there?"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message, gets(s.bobsIPhone, "Alice:still there?", 6, "", ""))
}

// away logs the phone in and puts its app into the background.
func (s *story) away(ctx context.Context, p *phone, unread int) error {
	if err := s.login(ctx, p, 60*time.Second); err != nil {
		return err
	}
	return s.presence(ctx, p, "background", 50*time.Second, unread)
}

func (s *story) bothPhones(ctx context.Context, sc *scene) error {
	if err := s.away(ctx, s.bobsPixel, 2); err != nil {
		return err
	}
	message, err := s.say(ctx, to("bob"), text("lunch?"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message,
		gets(s.bobsIPhone, "Alice:lunch?", 7, "", ""),
		gets(s.bobsPixel, "Alice:lunch?", 3, "", ""))
}

func (s *story) group(ctx context.Context, sc *scene) error {
	if err := s.away(ctx, s.carolsIPhone, 0); err != nil {
		return err
	}
	message, err := s.say(ctx, map[string]any{"GroupId": "team", "GroupName": "Team", "From_NameCard": "Ali", "To_Account": []string{"bob", "carol"}},
		text("look "), element{"TIMFaceElem", map[string]any{"Index": 1}})
	if err != nil {
		return err
	}
	const want = "Ali(Team):look [Face]"
	return s.expect(ctx, sc, message,
		gets(s.bobsIPhone, want, 8, "", ""),
		gets(s.bobsPixel, want, 4, "", ""),
		gets(s.carolsIPhone, want, 1, "", ""))
}

func (s *story) custom(ctx context.Context, sc *scene) error {
	const ext, sound = `{"page":"call"}`, "ding.caf"
	message, err := s.say(ctx, to("bob"),
		element{"TIMCustomElem", map[string]any{"Data": "call", "Desc": "calls you", "Ext": ext, "Sound": sound}})
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message,
		gets(s.bobsIPhone, "Alice:calls you", 9, sound, ext),
		gets(s.bobsPixel, "Alice:calls you", 5, sound, ext))
}
