package timeline

import "github.com/pushfleet/pushfleet/pkg/push"

// class says how much an event is worth keeping. Each class has its own keys and an equal part of every bound.
type class int

// The classes.
const (
	routine class = iota
	failure
	classes
)

// prefix begins the names of the class's keys.
func (c class) prefix() string { return [classes]string{"er:", "ef:"}[c] }

// classOf finds what people will ask about: what was not delivered at the first attempt.
func classOf(e Entry) class {
	switch e.GetDisposition() {
	case push.Dead.String(), push.DropToken.String(), push.Park.String(), push.Retry.String():
		return failure
	}
	if e.GetAttempt() > 1 || e.GetRedrive() > 0 {
		return failure
	}
	return routine
}
