package apnstest

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// maxTokenAge is how old a provider token may be, and clockSkew how far in the future its issue time may lie.
const (
	maxTokenAge = time.Hour
	clockSkew   = 5 * time.Minute
)

// maxVerified bounds the cache of verified tokens. A fleet uses one per key and hour.
const maxVerified = 1000

type keyName struct{ team, key string }

// verifier checks what a request is authorized by. A signature is verified once per token, its age each time. Safe for
// concurrent use.
type verifier struct {
	keys        map[keyName]Key
	environment Environment
	parser      *jwt.Parser
	traffic     *pushtest.Traffic

	mu       sync.RWMutex
	verified map[string]verifiedToken // by the token as it was sent
	teams    map[string]*renewals     // by team
}

type verifiedToken struct {
	key    Key
	issued time.Time
}

// renewals are the issue times that a team has come with.
type renewals struct {
	issued map[int64]bool
	last   time.Time // when the newest of them was accepted first
}

func newVerifier(keys []Key, environment Environment, traffic *pushtest.Traffic) *verifier {
	v := &verifier{
		keys:        make(map[keyName]Key, len(keys)),
		environment: environment,
		parser:      jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation()),
		traffic:     traffic,
		verified:    make(map[string]verifiedToken),
		teams:       make(map[string]*renewals),
	}
	for _, key := range keys {
		v.keys[keyName{key.TeamID, key.KeyID}] = key
	}
	return v
}

// forgetTeams begins anew to count renewals.
func (v *verifier) forgetTeams() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.teams)
}

// authorize returns the topics that a request may push to, or the answer that refuses it.
func (v *verifier) authorize(f *fields, conn *connection, rules *rules, now time.Time) (topics, answer) {
	if conn.wedged {
		return topics{}, refused(http.StatusForbidden, "ExpiredProviderToken")
	}
	if conn.certified && f.authorization == "" {
		if conn.wrongPlace {
			return topics{}, refused(http.StatusForbidden, "BadCertificateEnvironment")
		}
		return topics{exact: conn.allowed}, answer{}
	}
	key, a := v.verify(f.authorization, rules, now)
	switch {
	case a.reason == "ExpiredProviderToken" && rules.WedgeExpired:
		conn.wedged = true
		return topics{}, a
	case a.status != 0:
		return topics{}, a
	}
	name := keyName{key.TeamID, key.KeyID}
	if conn.bound == (keyName{}) {
		conn.bound = name
	}
	if rules.BindConnections && conn.bound != name {
		return topics{}, refused(http.StatusForbidden, "UnrelatedKeyIdInToken")
	}
	return topics{bundles: key.Topics}, answer{}
}

// verify returns the key that signed the token, or the answer that refuses it.
func (v *verifier) verify(authorization string, rules *rules, now time.Time) (Key, answer) {
	if authorization == "" {
		return Key{}, refused(http.StatusForbidden, "MissingProviderToken")
	}
	token, ok := bearer(authorization)
	if !ok {
		return Key{}, refused(http.StatusForbidden, "InvalidProviderToken")
	}
	found, known := v.cached(token)
	if !known {
		var err error
		if found, err = v.parse(token); err != nil {
			return Key{}, refused(http.StatusForbidden, "InvalidProviderToken")
		}
		v.remember(token, found)
	}
	limit := maxTokenAge
	if rules.TokenAge > 0 {
		limit = time.Duration(rules.TokenAge)
	}
	switch age := now.Sub(found.issued); {
	case age > limit:
		return Key{}, refused(http.StatusForbidden, "ExpiredProviderToken")
	case age < -clockSkew:
		return Key{}, refused(http.StatusForbidden, "InvalidProviderToken")
	case found.key.Environment != nil && *found.key.Environment != v.environment:
		return Key{}, refused(http.StatusForbidden, "BadEnvironmentKeyIdInToken")
	case rules.TokenInterval > 0 && !v.renew(found, time.Duration(rules.TokenInterval), now):
		return Key{}, refused(http.StatusTooManyRequests, "TooManyProviderTokenUpdates")
	}
	return found.key, answer{}
}

// maxIssued bounds the issue times that are remembered of a team; a day has 72 at most.
const maxIssued = 1000

// renew takes a token's issue time into account. false = its team has renewed too often: the tokens that it has shown
// before are still good.
func (v *verifier) renew(found verifiedToken, interval time.Duration, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	team := v.teams[found.key.TeamID]
	if team == nil || len(team.issued) >= maxIssued {
		team = &renewals{issued: make(map[int64]bool)}
		v.teams[found.key.TeamID] = team
	}
	issued := found.issued.Unix()
	switch {
	case team.issued[issued]:
		return true
	case len(team.issued) > 0 && now.Sub(team.last) < interval:
		return false
	}
	team.issued[issued] = true
	team.last = now
	return true
}

func (v *verifier) parse(token string) (verifiedToken, error) {
	var found verifiedToken
	_, err := v.parser.Parse(token, func(t *jwt.Token) (any, error) {
		team, err := t.Claims.GetIssuer()
		if err != nil {
			return nil, err
		}
		keyID, _ := t.Header["kid"].(string)
		key, known := v.keys[keyName{team, keyID}]
		if !known {
			return nil, errors.New("no such key")
		}
		issued, err := t.Claims.GetIssuedAt()
		if err != nil || issued == nil {
			return nil, errors.New("no issue time")
		}
		found = verifiedToken{key: key, issued: issued.Time}
		return key.Public, nil
	})
	return found, err
}

func (v *verifier) cached(token string) (verifiedToken, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	found, known := v.verified[token]
	return found, known
}

func (v *verifier) remember(token string, found verifiedToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.verified) >= maxVerified {
		clear(v.verified)
	}
	v.verified[token] = found
	v.traffic.Bearer(token)
}
