package route

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/pkg/message"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/registry"
	"github.com/pushfleet/pushfleet/pkg/registry/embedded"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Preview is a question: what would this message do to these devices, now?
type Preview struct {
	Message    []byte    // as produced to im.messages
	Events     io.Reader // device and settings events, one a line, in the order in which they are applied
	Now        time.Time
	DefaultApp string
	Drivers    map[push.Platform]push.Driver
	Apps       map[string]Policy
	MaxAge     time.Duration
	Say        func(problem string) // what is wrong with a message that is dead: the answer has only its reason
	Registry   registry.Options     // lease and limits; Now is replaced by the question's

	servers []string // Redis to ask in place of a private one, as registry.Config.Addrs; for tests
}

// previewLine is one line of the answer. Absent fields are left out.
type previewLine struct {
	ID       string            `json:"id,omitempty"`
	MsgKey   string            `json:"msg_key,omitempty"`
	User     string            `json:"user,omitempty"`
	Device   string            `json:"device,omitempty"`
	Platform push.Platform     `json:"platform,omitempty"`
	Decision string            `json:"decision"`
	Reason   push.Reason       `json:"reason"`
	Headers  map[string]string `json:"headers,omitempty"`
	Body     json.RawMessage   `json:"body,omitempty"`
}

// eventLine bounds one line of a devices file, in bytes; a record of im.devices is no larger.
const eventLine = 1 << 20

// Run writes one JSON line per device of each recipient to out. It uses the registry's own scripts on a private
// in-process Redis, so that it cannot disagree with route; no broker, no Redis and no key is opened. Its error says
// what could not be read.
func (p Preview) Run(ctx context.Context, out io.Writer) error {
	servers := p.servers
	if servers == nil {
		server, err := embedded.Start(embedded.Config{})
		if err != nil {
			return fmt.Errorf("start the in-process registry: %w", err)
		}
		defer server.Close()
		servers = []string{server.Addr()}
	}
	opts := p.Registry
	opts.Now = func() time.Time { return p.Now }
	opts.Logger = zap.NewNop()
	reg, err := registry.Open(registry.Config{Addrs: servers}, opts)
	if err != nil {
		return fmt.Errorf("open the registry: %w", err)
	}
	defer func() { _ = reg.Close() }() // nothing of it is kept
	if err := reg.Complete(ctx); err != nil {
		return fmt.Errorf("prepare the registry: %w", err)
	}
	users, err := p.apply(ctx, reg)
	if err != nil {
		return err
	}
	lines, err := p.lines(ctx, reg, users)
	if err != nil {
		return err
	}
	for _, l := range lines {
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		if _, err := out.Write(line.Bytes()); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	return nil
}

// appUser is a user of an app.
type appUser struct{ app, user string }

// apply applies the events and returns every user in them, in the order of first appearance.
func (p Preview) apply(ctx context.Context, reg *registry.Registry) ([]appUser, error) {
	var users []appUser
	lines := bufio.NewScanner(p.Events)
	lines.Buffer(nil, eventLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		event, err := registry.ParseDeviceEvent(line, p.Now)
		if err != nil {
			return nil, fmt.Errorf("devices file, line %d: %w", n, err)
		}
		if err := p.checkTokens(&event); err != nil {
			return nil, fmt.Errorf("devices file, line %d: %w", n, err)
		}
		if _, err := reg.Apply(ctx, []registry.DeviceEvent{event}); err != nil {
			return nil, fmt.Errorf("devices file, line %d: %w", n, err)
		}
		if u := (appUser{event.App, event.User}); !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("devices file: %w", err)
	}
	return users, nil
}

// checkTokens says what is wrong with the tokens that an event brings.
func (p Preview) checkTokens(e *registry.DeviceEvent) error {
	driver, known := p.Drivers[e.Platform]
	for _, t := range []struct {
		field string
		token *string
	}{{"Token", e.Token}, {"VoIPToken", e.VoIPToken}} {
		if t.token == nil || *t.token == "" || e.Platform == "" {
			continue
		}
		if !known {
			return errors.New("platform is not one of this fleet")
		}
		if err := driver.CheckToken(*t.token); err != nil {
			return fmt.Errorf("%s: %w", t.field, err)
		}
	}
	return nil
}

// lines decides every recipient's devices.
func (p Preview) lines(ctx context.Context, reg *registry.Registry, users []appUser) ([]previewLine, error) {
	rec := &stream.Record{Topic: stream.Topics{}.Messages(), Time: p.Now, Value: p.Message}
	msg, err := message.Parse(p.Message, Envelope(rec, p.DefaultApp))
	if err == nil {
		err = refuse(msg, p.Apps)
	}
	if err != nil {
		line := previewLine{Decision: push.Dead.String()}
		var problem string
		line.Reason, problem = describe(err)
		p.Say(problem)
		if msg != nil {
			line.MsgKey = msg.Key
		}
		return []previewLine{line}, nil
	}
	j := &job{rec: rec, msg: msg, policy: p.Apps[msg.App]}
	recipients := msg.Recipients
	if j.toGroup() {
		for _, u := range users {
			if u.app == msg.App && u.user != msg.From {
				recipients = append(recipients, u.user)
			}
		}
	}
	filter := msg.Filter(p.Now, p.MaxAge)
	var lines []previewLine
	for _, user := range recipients {
		decisions, err := reg.Decide(ctx, []registry.DecideRequest{j.request(user)})
		if err != nil {
			return nil, fmt.Errorf("decide: %w", err)
		}
		d := decisions[0]
		for _, device := range d.Devices {
			lines = append(lines, p.line(j, target{j.key(d), user, d.Sound, device}, filter))
		}
	}
	return lines, nil
}

// line says what one device gets. Of a device whose own service takes offline messages it shows what goes there, and not
// the fallback.
func (p Preview) line(j *job, t target, filter push.Reason) previewLine {
	n := j.notification(t)
	line := previewLine{ID: n.ID, MsgKey: t.key, User: t.user, Device: t.device.Device, Platform: n.Platform,
		Decision: "filter", Reason: t.device.Reason}
	switch driver, known := p.Drivers[n.Platform]; {
	case filter != "":
		line.Reason = filter
	case !t.device.Push:
	case !known:
		line.Reason = push.ReasonNoToken
	default:
		request, impossible := driver.Render(n, p.Now)
		if impossible != nil {
			line.Decision, line.Reason = impossible.Disposition.String(), impossible.Reason
			break
		}
		line.Decision, line.Headers, line.Body = "push", request.Headers, request.Body
	}
	return line
}
