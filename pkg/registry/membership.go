package registry

import "time"

// Membership is one record of the groups topic: a user joined a group, or left it.
type Membership struct {
	App, Group, User string
	Joined           time.Time // zero = the user left
	Left             time.Time // zero = the user joined
}

// GroupRef names a group.
type GroupRef struct{ App, Group string }

// GroupSize says how many users a group has and in how many buckets they are kept.
type GroupSize struct {
	Members int // at most: those who left lately count too
	Buckets int // 0 = no member was ever known
}
