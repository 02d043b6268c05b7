// Package check says what a run did wrong. What was produced, how the devices' presence changed, what the providers
// accepted, and which ends the fleet wrote down flow in; a count of everything that should not be flows out. It works the
// expectation out by itself, from the contract alone: nothing of it comes from the packages that are checked.
//
// What the fleet cannot know it may not be blamed for: it may go by what a device was up to 2 s ago, counted from when
// the event was durable in Kafka.
package check

import (
	"time"
)

// Settings are those of the fleet that matter here.
type Settings struct {
	// Slack is how old what the fleet knows of a device may be: presence.max_lag.
	Slack time.Duration
	// Look is how late the fleet may notice that what it knows is older.
	Look time.Duration
}

// Device is one phone.
type Device struct {
	User, ID, Token string
}

// State is where a device is.
type State int

// The states. A device gets pushes in the background and where the app was killed.
const (
	Background State = iota
	Killed
	Foreground
	LoggedOut
)

func (s State) String() string {
	return [...]string{"background", "killed", "foreground", "logged out"}[s]
}

func (s State) wantsPush() bool { return s == Background || s == Killed }

// Change is a device's step into a state.
type Change struct {
	Device  *Device
	State   State
	At      time.Time // the event's time
	Durable time.Time // when Kafka had it; zero = never
	Report  bool      // it told a number of unread messages
	Unread  int
}

// Record is a record of im.messages, as the log has it.
type Record struct {
	Partition int32
	Offset    int64
	Time      time.Time
	Value     []byte
}

// Push is one request that a provider got.
type Push struct {
	Time     time.Time // of the answer
	Token    string
	MsgKey   string
	Badge    int  // 0 = none
	Accepted bool // the provider took it
	// Unanswered says that it was taken, and that its sender never learned it.
	Unanswered bool
}

// Event is a step of a notification that the fleet wrote down.
type Event struct {
	MsgKey, User, Device string
	Disposition, Reason  string
	Time                 time.Time
	Admitted             time.Time // when the attempt that it is about was let go; zero = not told
}

// Input is all there is to know of one phase.
type Input struct {
	Settings
	Devices []*Device
	Changes []Change            // of all devices, in the order in which they were made
	Groups  map[string][]string // who is a member of what
	Records []Record
	// Produced are the values of im.messages of which Kafka said that it has them.
	Produced [][]byte
	Bad      map[string]bool // values that no reader can use
	Pushes   []Push          // by time
	Events   []Event
	Dead     [][]byte // values of all dead-letter topics of im.*
	DeadOut  int      // dead letters of push.*
	// BadLetters are values that were produced to other topics of im.* and that no reader can use.
	BadLetters [][]byte
	// Emptied is when Redis forgot everything; zero = it did not.
	Emptied time.Time
}

// Verdict is what was found. Examples say of each kind which.
type Verdict struct {
	Records int // good ones
	Bad     int // records that nobody can read
	Pushed  int // device and message that got one

	// Lost were due, and neither pushed nor ended with a reason; with bad records without a dead letter, and what Kafka said
	// that it has and has not.
	Lost        int
	Late        int // due, but filtered by what the device had been longer ago than the slack
	Duplicates  int // pushes beyond the first, where the first one's answer had arrived
	Ambiguous   int // pushes beyond the first, where the answer of one before was lost
	Misordered  int // first attempts that came before an earlier message of their conversation, device and lane
	Ordered     int // first attempts that were compared
	WrongBadges int
	Badges      int           // that were compared
	Stale       int           // pushes to a device in the foreground or logged out for longer than the slack
	UnderWay    int           // the same, where the attempt had been let go in time, and came late
	Longest     time.Duration // that a device had been there, of both
	Forgotten   int           // pushes to a device in the foreground, whose presence Redis had lost
	Unexpected  int           // pushes of what nobody produced, or to a device of nobody that it was for
	WrongEnds   int           // dead letters, dropped tokens and other ends that nothing explains

	Examples map[string][]string
}

// maxExamples of one kind.
const maxExamples = 5

func (v *Verdict) example(kind, text string) {
	if len(v.Examples[kind]) < maxExamples {
		v.Examples[kind] = append(v.Examples[kind], text)
	}
}
