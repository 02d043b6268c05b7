package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/operate"
)

// closeLimit is how long the story's own publisher may take to end.
const closeLimit = 5 * time.Second

// tokenGone lets Carol delete the app from her iPad.
func (s *story) tokenGone(ctx context.Context, sc *scene) error {
	if err := s.away(ctx, s.carolsIPad, 0); err != nil {
		return err
	}
	if err := s.script(ctx, s.carolsIPad.token, answer{Status: http.StatusGone, Reason: "Unregistered", Times: -1}); err != nil {
		return err
	}
	message, err := s.say(ctx, to("carol"), text("one"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.carolsIPhone, "Alice:one", 2, "", "")); err != nil {
		return err
	}
	if err := s.happens(ctx, message, s.carolsIPad, "drop_token", "unregistered"); err != nil {
		return err
	}
	if err := s.forgotten(ctx, s.carolsIPad); err != nil {
		return err
	}
	next, err := s.say(ctx, to("carol"), text("two"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, next, gets(s.carolsIPhone, "Alice:two", 3, "", ""), none(s.carolsIPad, "no_token")); err != nil {
		return err
	}
	asked, err := s.ledger(ctx, s.carolsIPad.token)
	if err != nil {
		return err
	}
	sc.note("requests for the iPad: %d, of two messages", len(asked))
	if len(asked) != 1 {
		return errors.New("there should be one")
	}
	return nil
}

// forgotten waits until the registry knows no token of the phone.
func (s *story) forgotten(ctx context.Context, p *phone) error {
	gone, err := until(ctx, func(ctx context.Context) (bool, error) {
		d, err := s.device(ctx, p.user, p.device)
		return d.TokenHash == "" && d.Filter == string(push.ReasonNoToken), err
	})
	if err == nil && !gone {
		return fmt.Errorf("%s has a token still", p.device)
	}
	return err
}

// retried lets the provider be down for two requests.
func (s *story) retried(ctx context.Context, sc *scene) error {
	if err := s.script(ctx, s.carolsIPhone.token, answer{Status: http.StatusServiceUnavailable, Reason: "ServiceUnavailable", Times: 2}); err != nil {
		return err
	}
	message, err := s.say(ctx, to("carol"), text("patience"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.carolsIPhone, "Alice:patience", 4, "", "")); err != nil {
		return err
	}
	return s.answered(ctx, sc, message, http.StatusServiceUnavailable, http.StatusServiceUnavailable, http.StatusOK)
}

// answered checks how the provider answered the requests for a message to Carol's iPhone.
func (s *story) answered(ctx context.Context, sc *scene, message string, want ...int) error {
	requests, err := s.requests(ctx, s.carolsIPhone, message)
	if err != nil {
		return err
	}
	var got []int
	for _, e := range requests {
		got = append(got, e.Status)
	}
	sc.note("the provider's answers: %d", got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("they should be %d", want)
	}
	return nil
}

// redriven lets the provider refuse a message until somebody has looked at it.
func (s *story) redriven(ctx context.Context, sc *scene) error {
	if err := s.script(ctx, s.carolsIPhone.token, answer{Status: http.StatusBadRequest, Reason: "PayloadEmpty", Times: -1}); err != nil {
		return err
	}
	message, err := s.say(ctx, to("carol"), text("second chance"))
	if err != nil {
		return err
	}
	letter, err := s.letter(ctx, sc, operate.Filter{Platform: "apns", Reason: push.ReasonPayloadRejected})
	if err != nil {
		return err
	}
	if letter.MsgKey != message || letter.Device != s.carolsIPhone.device {
		return fmt.Errorf("the letter is of %s to %s", letter.MsgKey, letter.Device)
	}
	if err := s.script(ctx, s.carolsIPhone.token); err != nil {
		return err
	}
	if err := s.sendBack(ctx, letter); err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.carolsIPhone, "Alice:second chance", 5, "", "")); err != nil {
		return err
	}
	return s.answered(ctx, sc, message, http.StatusBadRequest, http.StatusOK)
}

// letter waits for a dead letter, and shows it.
func (s *story) letter(ctx context.Context, sc *scene, filter operate.Filter) (operate.Letter, error) {
	var letters []operate.Letter
	if _, err := until(ctx, func(ctx context.Context) (bool, error) {
		letters = nil
		err := s.letters.Each(ctx, filter, func(l operate.Letter) bool {
			letters = append(letters, l)
			return true
		})
		return len(letters) > 0, err
	}); err != nil {
		return operate.Letter{}, err
	}
	if len(letters) != 1 {
		return operate.Letter{}, fmt.Errorf("%d dead letters of %s, there should be one", len(letters), filter.Reason)
	}
	sc.note("dead letter %s: %s, %s", letters[0].Position, letters[0].Reason, letters[0].Answer)
	return letters[0], nil
}

// sendBack redrives a letter, as pushctl dead redrive does.
func (s *story) sendBack(ctx context.Context, letter operate.Letter) error {
	return s.publishing(ctx, func(pub *stream.Publisher) error {
		redrive := s.letters.NewRedrive(pub, "pushdemo", 0)
		if err := redrive.Add(ctx, letter); err != nil {
			return err
		}
		return redrive.Flush(ctx)
	})
}

// publishing lends fn a publisher to the fleet's Kafka.
func (s *story) publishing(ctx context.Context, fn func(*stream.Publisher) error) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	pub := s.cluster.NewPublisher(stream.PublisherConfig{})
	err := fn(pub)
	grace, end := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer end()
	return errors.Join(err, pub.Close(grace))
}

// unreadable produces what is no message, into the partition of the message that follows it.
func (s *story) unreadable(ctx context.Context, sc *scene) error {
	if err := s.produce(ctx, stream.Message{Topic: s.topics.Messages(), Key: stream.MemberKey(app, "alice", "carol"),
		Value: []byte("not a message"), Partition: stream.ByKey}); err != nil {
		return err
	}
	message, err := s.say(ctx, to("carol"), text("life goes on"))
	if err != nil {
		return err
	}
	if err := s.expect(ctx, sc, message, gets(s.carolsIPhone, "Alice:life goes on", 6, "", "")); err != nil {
		return err
	}
	_, err = s.letter(ctx, sc, operate.Filter{Topic: s.topics.InputDead(s.topics.Messages())})
	return err
}

// produce writes one record, and returns when it is durable.
func (s *story) produce(ctx context.Context, m stream.Message) error {
	return s.publishing(ctx, func(pub *stream.Publisher) error {
		done := make(chan error, 1)
		pub.Publish(ctx, m, func(err error) { done <- err })
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// once looks back at every notification of the story.
func (s *story) once(ctx context.Context, sc *scene) error {
	count := 0
	for k, p := range s.recipients {
		screens, err := s.screens(ctx, p, k.message)
		if err != nil {
			return err
		}
		if len(screens) != 1 {
			return fmt.Errorf("%s got %s %d times", p.device, k.message, len(screens))
		}
		count++
	}
	sc.note("%d messages, %d notifications", s.sent, count)
	return nil
}
