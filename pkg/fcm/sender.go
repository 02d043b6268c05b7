package fcm

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/payload"
)

// sendLimit bounds a batch whose context has no end. FCM asks for 10 s or more.
const sendLimit = 30 * time.Second

// sender sends with one service account.
type sender struct {
	driver *Driver
	client *messaging.Client
	tokens *tokens
	quota  *quota        // its project's
	slots  chan struct{} // one for each running send
}

func newSender(d *Driver, account *credential.ServiceAccount, quota *quota) (*sender, error) {
	endpoint := d.settings.platform.Endpoint
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	ctx := context.Background() // the SDK opens nothing here
	sdk, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: account.ProjectID},
		option.WithEndpoint(endpoint+"/v1"),
		option.WithHTTPClient(&http.Client{Transport: &courier{base: d.client, now: d.now}}))
	if err != nil {
		return nil, fmt.Errorf("set up the SDK: %w", err)
	}
	client, err := sdk.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("set up the SDK: %w", err)
	}
	return &sender{
		driver: d,
		client: client,
		tokens: newTokens(fetcher(account.JWTConfig(messagingScope), d.client), d.now),
		quota:  quota,
		slots:  make(chan struct{}, d.settings.platform.Concurrency),
	}, nil
}

// Send implements [push.Sender].
func (s *sender) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	ctx, done := s.driver.begin(ctx)
	defer done()
	var running sync.WaitGroup
	defer running.Wait()
	for i, n := range batch {
		if err := s.turn(ctx); err != nil {
			for ; i < len(batch); i++ { // the time is up for the others too
				report(i, classify(result{err: err}))
			}
			return
		}
		running.Add(1)
		s.driver.crew.run(func() {
			defer running.Done()
			outcome := s.deliver(ctx, n)
			<-s.slots
			report(i, outcome)
		})
	}
}

// turn waits until the project's quota has room, and the sender a slot. Who waits for the quota holds no slot: a wait
// for a slot is the provider's doing.
func (s *sender) turn(ctx context.Context) error {
	if err := s.quota.take(ctx); err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver sends one notification: once, and a second time only where FCM refused the access token.
func (s *sender) deliver(ctx context.Context, n *push.Notification) push.Outcome {
	if err := s.driver.CheckToken(n.Token); err != nil {
		return push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Err: err}
	}
	request, impossible := s.driver.Render(n, s.driver.now())
	if impossible != nil {
		return *impossible
	}
	body := envelope(request.Body, n.Token)
	token, err := s.tokens.get(ctx)
	if err != nil {
		return classify(result{err: err})
	}
	r := s.ask(ctx, n.Token, token, body)
	if r.status == http.StatusUnauthorized && r.code != codeThirdPartyAuth {
		renewed, err := s.tokens.renew(ctx, token)
		if err != nil {
			return s.stillRefused(r, err)
		}
		r = s.ask(ctx, n.Token, renewed, body)
	}
	return classify(r)
}

// stillRefused says what becomes of a notification whose access token FCM refused and that got no other.
func (s *sender) stillRefused(refused result, err error) push.Outcome {
	outcome := classify(result{err: err})
	if outcome.Answer == "" {
		outcome.Answer = refused.answer()
	}
	return outcome
}

// ask makes one request through the SDK.
func (s *sender) ask(ctx context.Context, deviceToken, token string, body []byte) result {
	c := &call{token: token, body: body}
	// The token is all that the SDK is told: the courier puts in the rest.
	name, err := s.client.Send(withCall(ctx, c), &messaging.Message{Token: deviceToken})
	switch {
	case !c.begun && ctx.Err() != nil:
		return result{err: ctx.Err()}
	case !c.begun:
		return result{err: errUnsendable}
	case c.result.status == http.StatusOK && c.result.err == nil && (err != nil || name == ""):
		return result{status: http.StatusOK, err: errNotFCM, sent: true}
	}
	return c.result
}

// envelope is the whole request: the rendered message with its token.
func envelope(message []byte, token string) []byte {
	dst := make([]byte, 0, len(message)+len(token)+32)
	dst = append(dst, `{"message":`...)
	dst = append(dst, message[:len(message)-1]...)
	dst = payload.AppendMember(dst, "token", token)
	return append(dst, '}', '}')
}
