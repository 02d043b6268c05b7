package main

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// club is a group whose members the fleet knows.
const club = "club"

// join makes a user a member of the club, from before the story on.
func (s *story) join(ctx context.Context, user string) error {
	return s.call(ctx, http.MethodPut, s.api+"/v1/apps/"+app+"/groups/"+club+"/members/"+url.PathEscape(user),
		map[string]any{"JoinedTime": s.begin.Add(-time.Hour).UnixMilli()}, nil)
}

// toClub is a message to all its members.
func toClub(members map[string]any) map[string]any {
	message := map[string]any{"GroupId": club, "GroupName": "Club"}
	for name, value := range members {
		message[name] = value
	}
	return message
}

// want changes what a user wants.
func (s *story) want(ctx context.Context, user string, settings map[string]any) error {
	event := map[string]any{"App": app, "User": user, "Event": "settings", "EventTime": time.Now().UnixMilli()}
	for name, value := range settings {
		event[name] = value
	}
	return s.report(ctx, event)
}

// members lets a message go to a group as a whole.
func (s *story) members(ctx context.Context, sc *scene) error {
	for _, p := range []*phone{s.davesIPhone, s.erinsPixel} {
		if err := s.join(ctx, p.user); err != nil {
			return err
		}
		if err := s.away(ctx, p, 0); err != nil {
			return err
		}
	}
	message, err := s.say(ctx, toClub(nil), text("welcome"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message,
		gets(s.davesIPhone, "Alice(Club):welcome", 1, "", ""),
		gets(s.erinsPixel, "Alice(Club):welcome", 1, "", ""))
}

// mentioned lets Dave hear of the club only where he is meant.
func (s *story) mentioned(ctx context.Context, sc *scene) error {
	if err := s.want(ctx, "dave", map[string]any{"ReceiveOptions": map[string]int{"group:" + club: 3}}); err != nil {
		return err
	}
	message, err := s.say(ctx, toClub(nil), text("anybody?"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, none(s.davesIPhone, "not_mentioned"), gets(s.erinsPixel, "Alice(Club):anybody?", 2, "", "")); err != nil {
		return err
	}
	message, err = s.say(ctx, toClub(map[string]any{"GroupAtInfo": []any{map[string]any{"GroupAtAllFlag": 0, "GroupAt_Account": "dave"}}}), text("Dave?"))
	if err != nil {
		return err
	}
	return s.expect(ctx, sc, message, gets(s.davesIPhone, "Alice(Club):Dave?", 2, "", ""), gets(s.erinsPixel, "Alice(Club):Dave?", 3, "", ""))
}

// quiet lets Erin sleep for a while.
func (s *story) quiet(ctx context.Context, sc *scene) error {
	asleep := map[string]any{"Start": time.Now().Add(-time.Minute).UnixMilli(), "Duration": 3600}
	if err := s.want(ctx, "erin", map[string]any{"QuietOnce": asleep}); err != nil {
		return err
	}
	message, err := s.say(ctx, to("erin"), text("asleep?"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, none(s.erinsPixel, "quiet_hours")); err != nil {
		return err
	}
	return s.want(ctx, "erin", map[string]any{"QuietOnce": nil})
}
