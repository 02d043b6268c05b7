package fcm

import (
	"context"
	"fmt"
	"net/http"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/crew"
)

// sendLimit bounds a batch whose context has no end. FCM asks for 10 s or more.
const sendLimit = 30 * time.Second

// sender sends with one service account.
type sender struct {
	driver  *Driver
	client  *messaging.Client
	tokens  *tokens
	quota   *quota // its project's
	lingers bool   // see courier
	crew    *crew.Crew[call]
}

func newSender(d *Driver, account *credential.ServiceAccount, quota *quota) (*sender, error) {
	endpoint := d.settings.platform.Endpoint
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	ctx := context.Background() // the SDK opens nothing here
	lingers := d.settings.platform.Transport == transportStd
	sdk, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: account.ProjectID},
		option.WithEndpoint(endpoint+"/v1"),
		option.WithHTTPClient(&http.Client{Transport: &courier{base: d.client, now: d.now, lingers: lingers}}))
	if err != nil {
		return nil, fmt.Errorf("set up the SDK: %w", err)
	}
	client, err := sdk.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("set up the SDK: %w", err)
	}
	return &sender{
		driver:  d,
		client:  client,
		tokens:  newTokens(fetcher(account.JWTConfig(messagingScope), d.client), d.now),
		quota:   quota,
		lingers: lingers,
		crew:    crew.New[call](d.settings.platform.Concurrency),
	}, nil
}

// Send implements [push.Sender]. Who waits for the project's quota takes no worker's time: a wait for a worker is the
// provider's doing.
func (s *sender) Send(ctx context.Context, batch []*push.Notification, report func(i int, o push.Outcome)) {
	ctx, done := s.driver.begin(ctx)
	defer done()
	failed := func(i int, err error) { report(i, classify(result{err: err})) }
	jobs := s.crew.Begin(ctx, func(i int, c *call) {
		if s.lingers {
			c = new(call)
		}
		c.Context = ctx
		s.deliver(c, batch[i])
		c.report(i, report)
	}, failed)
	defer jobs.Wait()
	for i := range batch {
		if err := s.quota.take(ctx); err != nil {
			for ; i < len(batch); i++ { // the time is up for the others too
				failed(i, err)
			}
			return
		}
		jobs.Add(1)
	}
}

// close ends what fetches access tokens. No send runs any more, or they end with the driver.
func (s *sender) close() {
	s.tokens.close()
	s.crew.Close()
}

// deliver sends one notification: once, and a second time only where FCM refused the access token. Its outcome is left
// in the call and not returned, and it asks the SDK by itself, because the stack below a request is to stay small: tens of
// thousands wait at a time.
func (s *sender) deliver(c *call, n *push.Notification) {
	if c.refused = s.prepare(c, n); c.refused != nil {
		return
	}
	for s.authorize(c) {
		name, err := s.client.Send(c, &c.message)
		if !c.begun || err != nil || name == "" {
			c.judge(err != nil || name == "")
		}
	}
}

// prepare gives the outcome instead where nothing can be sent.
func (s *sender) prepare(c *call, n *push.Notification) (refused *push.Outcome) {
	if err := s.driver.CheckToken(n.Token); err != nil {
		return &push.Outcome{Disposition: push.DropToken, Reason: push.ReasonBadToken, Err: err}
	}
	c.message.Token, c.token, c.renewed = n.Token, "", false
	c.body, refused = s.driver.envelope(c.body[:0], n, s.driver.now())
	return refused
}

// authorize gives a call its access token, or another one where FCM refused it, and says whether it is to be made. Where it
// is not, the call has its outcome.
func (s *sender) authorize(c *call) bool {
	var err error
	switch before := c.token; {
	case before == "":
		if c.token, err = s.tokens.get(c.Context); err != nil {
			c.result = result{err: err}
		}
	case c.renewed || c.result.status != http.StatusUnauthorized || c.result.code == codeThirdPartyAuth:
		return false
	default:
		c.renewed = true
		if c.token, err = s.tokens.renew(c.Context, before); err != nil {
			c.refuse(err)
		}
	}
	c.begun = false
	return err == nil
}

// refuse is for a call whose access token FCM refused and that got no other.
func (c *call) refuse(err error) {
	outcome := classify(result{err: err})
	if outcome.Answer == "" {
		outcome.Answer = c.result.answer()
	}
	c.refused = &outcome
}

// judge is for a call that did not go as it should; nameless says that the SDK found no message's name in the answer.
//
//go:noinline // as report
func (c *call) judge(nameless bool) {
	switch {
	case !c.begun && c.Err() != nil:
		c.result = result{err: c.Err()}
	case !c.begun:
		c.result = result{err: errUnsendable}
	case c.result.status == http.StatusOK && c.result.err == nil && nameless:
		c.result = result{status: http.StatusOK, err: errNotFCM, sent: true}
	}
}
