package credential

import (
	"encoding/pem"
	"errors"
	"time"
)

// Report is what a file turned out to be.
type Report struct {
	Facts
	TeamID       string   // of a p12
	Topics       []string // of a p12
	Environments string   // of a p12
	Project      string   // of a service account
	Account      string   // of a service account: its address
}

// Inspect says what a source holds, and what is wrong with it whatever it is configured for. Where the error is not nil
// the report tells as much as is known; a Kind of "" says that it is no credential.
func Inspect(s Source, now time.Time) (Report, error) {
	m, err := s.Read()
	if err != nil {
		return Report{}, err
	}
	block, _ := pem.Decode(m.Content)
	switch {
	case len(m.Content) == 0:
		return Report{}, errors.New("empty")
	case looksLikeJSON(m.Content):
		return inspectServiceAccount(m)
	case block != nil:
		return inspectP8(s, m)
	}
	return inspectP12(m, now)
}

func inspectP8(s Source, m Material) (Report, error) {
	key, err := ParseP8(m.Content)
	if err != nil {
		return Report{}, err
	}
	return Report{Facts: key.Facts(KeyIDOfName(s.File))}, nil
}

func inspectP12(m Material, now time.Time) (Report, error) {
	c, err := ParseP12(m.Content, m.Password)
	if err != nil {
		return Report{}, err
	}
	return Report{Facts: c.Facts(), TeamID: c.TeamID, Topics: c.Topics, Environments: c.environments()}, c.Check(now)
}

func inspectServiceAccount(m Material) (Report, error) {
	account, err := ParseServiceAccount(m.Content, "")
	if err != nil {
		return Report{}, err
	}
	return Report{Facts: account.Facts(), Project: account.ProjectID, Account: account.Email}, nil
}
