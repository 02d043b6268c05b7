package apnstest

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxTokenAge is how old a provider token may be, and clockSkew how far in the future its issue time may lie.
const (
	maxTokenAge = time.Hour
	clockSkew   = 5 * time.Minute
)

// maxVerified bounds the cache of verified tokens. A fleet uses one per key and hour.
const maxVerified = 1000

type keyName struct{ team, key string }

// verifier checks provider tokens. A signature is verified once per token, its age each time. Safe for concurrent use.
type verifier struct {
	keys   map[keyName]Key
	parser *jwt.Parser

	mu       sync.RWMutex
	verified map[string]verifiedToken // by the token as it was sent
}

type verifiedToken struct {
	key    Key
	issued time.Time
}

func newVerifier(keys []Key) *verifier {
	v := &verifier{
		keys:     make(map[keyName]Key, len(keys)),
		parser:   jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation()),
		verified: make(map[string]verifiedToken),
	}
	for _, key := range keys {
		v.keys[keyName{key.TeamID, key.KeyID}] = key
	}
	return v
}

// verify returns the key that signed the token, or the reason to refuse it.
func (v *verifier) verify(authorization string, now time.Time) (_ Key, reason string) {
	if authorization == "" {
		return Key{}, "MissingProviderToken"
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return Key{}, "InvalidProviderToken"
	}
	found, known := v.cached(token)
	if !known {
		var err error
		if found, err = v.parse(token); err != nil {
			return Key{}, "InvalidProviderToken"
		}
		v.remember(token, found)
	}
	switch age := now.Sub(found.issued); {
	case age > maxTokenAge:
		return Key{}, "ExpiredProviderToken"
	case age < -clockSkew:
		return Key{}, "InvalidProviderToken"
	}
	return found.key, ""
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
}
