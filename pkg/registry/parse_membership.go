package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// ParseMembership reads the JSON of one membership, which is not null; now bounds its JoinedTime. Joined is zero where the
// record names no JoinedTime: the caller puts the record's time there. Unknown fields are ignored. The error says every
// mistake, naming the field, and quotes no value.
func ParseMembership(value []byte, now time.Time) (Membership, error) {
	var raw struct {
		App, Group, User string
		JoinedTime       *int64
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return Membership{}, fmt.Errorf("membership: %w", withoutValues(err))
	}
	m := Membership{App: raw.App, Group: raw.Group, User: raw.User}
	errs := m.wrongIDs()
	if raw.JoinedTime != nil {
		m.Joined = time.UnixMilli(*raw.JoinedTime)
		if what := wrongTime(m.Joined, now); what != "" {
			errs = append(errs, fmt.Errorf("JoinedTime: %s", what))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Membership{}, fmt.Errorf("membership: %w", err)
	}
	return m, nil
}

// Validate says every mistake of the membership, joined, each naming its field.
func (m *Membership) Validate(now time.Time) error {
	errs := m.wrongIDs()
	switch at := m.time(); {
	case m.Joined.IsZero() == m.Left.IsZero():
		errs = append(errs, errors.New("JoinedTime: a user either joined or left"))
	default:
		if what := wrongTime(at, now); what != "" {
			errs = append(errs, fmt.Errorf("JoinedTime: %s", what))
		}
	}
	return errors.Join(errs...)
}

func (m *Membership) wrongIDs() []error {
	var errs []error
	for _, f := range []struct{ name, value string }{{"App", m.App}, {"Group", m.Group}, {"User", m.User}} {
		if what := wrongText(f.value, 1, maxID); what != "" {
			errs = append(errs, fmt.Errorf("%s: %s", f.name, what))
		}
	}
	return errs
}

// time is when the user joined or left.
func (m *Membership) time() time.Time {
	if m.Joined.IsZero() {
		return m.Left
	}
	return m.Joined
}
