// Package load makes what a run produces: users with their phones, groups, messages, and changes of presence while the
// messages flow. It promises that the same seed makes the same users and messages, and keeps a record of what it made
// that a checker can trust.
package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/check"
)

// Phone is a device and how it is reached.
type Phone struct {
	check.Device
	Platform, Credential string
	Steady               bool // it never changes its presence
}

// Population is the users, their phones and their groups. It does not change.
type Population struct {
	App    string
	Users  []string
	Phones []*Phone
	Groups map[string][]string
	names  []string // of the groups
}

// Kept small enough that a user gets many messages, so that order and numbers mean something.
const (
	users        = 800
	groups       = 40
	mostMembers  = 12
	twoPhones    = 5 // one user of so many has a second phone
	steadyPhones = 3 // of five phones
)

// NewPopulation makes one. Half of the phones are on each platform.
func NewPopulation(app string, seed uint64) *Population {
	random := rand.New(rand.NewPCG(seed, 1<<32))
	p := &Population{App: app, Groups: map[string][]string{}}
	for i := range users {
		user := fmt.Sprintf("user-%d", i)
		p.Users = append(p.Users, user)
		p.phone(user, "first", i%2 == 0)
		if i%twoPhones == 0 {
			p.phone(user, "second", i%2 == 1)
		}
	}
	for i := range groups {
		name := fmt.Sprintf("room-%d", i)
		p.names = append(p.names, name)
		for _, user := range random.Perm(users)[:2+random.IntN(mostMembers-1)] {
			p.Groups[name] = append(p.Groups[name], p.Users[user])
		}
	}
	return p
}

func (p *Population) phone(user, id string, apple bool) {
	n := len(p.Phones)
	phone := &Phone{Device: check.Device{User: user, ID: id}, Steady: n%5 < steadyPhones}
	if phone.Platform, phone.Credential = "fcm", "android"; apple {
		phone.Platform, phone.Credential = "apns", "ios"
	}
	if phone.Token = fmt.Sprintf("%s-token-%d", p.App, n); apple {
		phone.Token = fmt.Sprintf("%064x", n+1)
	}
	p.Phones = append(p.Phones, phone)
}

// Devices are the phones as the checker knows them.
func (p *Population) Devices() []*check.Device {
	all := make([]*check.Device, len(p.Phones))
	for i, phone := range p.Phones {
		all[i] = &phone.Device
	}
	return all
}

// Record is something to produce.
type Record struct {
	Topic      string // im.…, without a prefix
	Key, Value []byte
}

// userKey is the contract's key of a user.
func (p *Population) userKey(user string) []byte { return []byte(p.App + "|" + user) }

// Memberships are the records that say who is in which group.
func (p *Population) Memberships(now time.Time) []Record {
	var all []Record
	for _, name := range p.names {
		for _, user := range p.Groups[name] {
			all = append(all, Record{"im.groups", []byte(p.App + "|" + name + "|" + user),
				encode(map[string]any{"App": p.App, "Group": name, "User": user, "JoinedTime": now.Add(-time.Hour).UnixMilli()})})
		}
	}
	return all
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("a map of strings and numbers did not marshal: " + err.Error())
	}
	return b
}
