package apns

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Apple wants a provider token renewed no oftener than every 20 minutes and no later than after 60. Every replica of
// the fleet has to send the same bytes, so a token's issue time is the start of a period that all clocks agree on, and
// its signature is deterministic.
const (
	signPeriod   = 50 * time.Minute // of regular renewal
	signSettle   = time.Minute      // after the start of a period, its token is used: clocks differ
	revisePeriod = 20 * time.Minute // of renewal because Apple calls a token expired
	renewGap     = 21 * time.Minute // between the first uses of two tokens: Apple's 20, and what a request takes to get there
	maxTokenAge  = 58 * time.Minute // of a token that is kept longer than its period
)

// authorizer gives the provider token to send, and is told what Apple says of it. Safe for concurrent use.
type authorizer interface {
	bearer() (string, error) // "" = none is needed
	expired(refused string) bool
	tooManyUpdates(refused string) bool
}

// certified is the authorizer of connections that prove themselves by a certificate.
type certified struct{}

func (certified) bearer() (string, error)    { return "", nil }
func (certified) expired(string) bool        { return false }
func (certified) tooManyUpdates(string) bool { return false }

// signer makes the provider tokens of one key. Safe for concurrent use.
type signer struct {
	key         *ecdsa.PrivateKey
	teamID, kid string
	now         func() time.Time
	mu          sync.Mutex
	current     providerToken
	previous    providerToken
	pinned      time.Time // issue time of a token used out of turn: until pinnedUntil, and while it is the newest
	pinnedUntil time.Time
	newest      time.Time // issue time of the newest token in use so far
	newestSince time.Time // when the fleet began to use that one
}

type providerToken struct {
	issued time.Time
	bearer string
}

func newSigner(key *ecdsa.PrivateKey, teamID, keyID string, now func() time.Time) *signer {
	return &signer{key: key, teamID: teamID, kid: keyID, now: now}
}

// bearer returns the token to send now.
func (s *signer) bearer() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.use(s.now())
}

// expired is told that Apple called a token expired, and says whether another one is there to try: one that was made
// since, or a revision, where the newest token is old enough for Apple to take another one.
func (s *signer) expired(refused string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	bearer, err := s.use(now)
	if err != nil {
		return false
	}
	if bearer != refused {
		return true
	}
	revision := startOf(now.Add(-signSettle), revisePeriod)
	if now.Sub(s.newestSince) < renewGap || !revision.After(s.newest) {
		return false
	}
	s.pinned, s.pinnedUntil = revision, now.Add(renewGap)
	return true
}

// tooManyUpdates is told that Apple refused a token because the key has had too many: the one before stays in use, as
// long as it is young enough. It says whether there is one to try.
func (s *signer) tooManyUpdates(refused string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if refused == s.current.bearer && s.previous.bearer != "" && s.previous.issued.Before(s.current.issued) {
		until := s.previous.issued.Add(maxTokenAge)
		if latest := now.Add(renewGap); until.After(latest) {
			until = latest
		}
		if until.After(now) {
			s.pinned, s.pinnedUntil = s.previous.issued, until
		}
	}
	bearer, err := s.use(now)
	return err == nil && bearer != refused
}

func (s *signer) use(now time.Time) (string, error) {
	issued := startOf(now.Add(-signSettle), signPeriod)
	since := now
	if s.newest.IsZero() { // other replicas may have used it all along
		since = issued.Add(signSettle)
	}
	if now.Before(s.pinnedUntil) || s.pinned.After(issued) {
		issued = s.pinned
	}
	if s.current.bearer != "" && issued.Equal(s.current.issued) {
		return s.current.bearer, nil
	}
	bearer, err := s.sign(issued)
	if err != nil {
		return "", err
	}
	s.previous, s.current = s.current, providerToken{issued: issued, bearer: bearer}
	if issued.After(s.newest) {
		s.newest, s.newestSince = issued, since
	}
	return bearer, nil
}

func (s *signer) sign(issued time.Time) (string, error) {
	token := jwt.NewWithClaims(deterministicES256{jwt.SigningMethodES256}, jwt.MapClaims{"iss": s.teamID, "iat": issued.Unix()})
	token.Header["kid"] = s.kid
	delete(token.Header, "typ") // every push would carry it, and Apple asks for alg and kid alone
	bearer, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("apns: sign a provider token: %w", err)
	}
	return bearer, nil
}

// startOf is the start of the period that t lies in, counted from the Unix epoch.
func startOf(t time.Time, period time.Duration) time.Time {
	seconds := int64(period / time.Second)
	return time.Unix(t.Unix()/seconds*seconds, 0)
}

// deterministicES256 signs as RFC 6979 says, so that the same token has the same bytes on every replica.
type deterministicES256 struct{ *jwt.SigningMethodECDSA }

// Sign returns r and s, 32 bytes each.
func (deterministicES256) Sign(text string, key any) ([]byte, error) {
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	digest := sha256.Sum256([]byte(text))
	der, err := private.Sign(nil, digest[:], crypto.SHA256) // no source of randomness = deterministic
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("signature is not two numbers in ASN.1")
	}
	signature := make([]byte, 64)
	pair.R.FillBytes(signature[:32])
	pair.S.FillBytes(signature[32:])
	return signature, nil
}
