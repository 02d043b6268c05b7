package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// clock is set by hand.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func testSigner(t *testing.T, key *ecdsa.PrivateKey, at int64) (*signer, *clock) {
	t.Helper()
	c := &clock{now: time.Unix(at, 0)}
	return newSigner(key, teamID, keyID, c.read), c
}

func testKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func bearer(t *testing.T, s *signer) string {
	t.Helper()
	b, err := s.bearer()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// issued verifies a token and gives its issue time.
func issued(t *testing.T, key *ecdsa.PrivateKey, token string) int64 {
	t.Helper()
	parsed, err := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"ES256"})).
		Parse(token, func(*jwt.Token) (any, error) { return &key.PublicKey, nil })
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Header["kid"] != keyID {
		t.Errorf("kid: got %v", parsed.Header["kid"])
	}
	if team, _ := parsed.Claims.GetIssuer(); team != teamID {
		t.Errorf("iss: got %v", team)
	}
	at, err := parsed.Claims.GetIssuedAt()
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// Two replicas whose clocks differ send the same bytes, whatever their first use was.
func TestEveryReplicaSignsTheSameBytes(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	one, _ := testSigner(t, key, 1790001000+100)
	other, _ := testSigner(t, key, 1790001000+2900)
	if a, b := bearer(t, one), bearer(t, other); a != b {
		t.Error("the tokens of one period differ")
	}
}

func TestProviderTokenByTime(t *testing.T) {
	t.Parallel()
	const period = 1790001000 // starts a period of 50 minutes
	key := testKey(t)
	s, c := testSigner(t, key, period)
	for _, test := range []struct{ at, want int64 }{
		{period, period - 3000}, // clocks differ: the new one is not used before 60 s
		{period + 59, period - 3000},
		{period + 60, period},
		{period + 3000, period},
		{period + 3059, period},
		{period + 3060, period + 3000},
	} {
		c.now = time.Unix(test.at, 0)
		got := issued(t, key, bearer(t, s))
		if got != test.want {
			t.Errorf("at %d: issued at %d, want %d", test.at, got, test.want)
		}
		if age := test.at - got; age >= 3600 {
			t.Errorf("at %d: %d s old", test.at, age)
		}
	}
}

func TestAnExpiredTokenIsRevisedAtMostOnceIn20Minutes(t *testing.T) {
	t.Parallel()
	const period = 1790001000 // its token is used from 60 s on; the periods of 20 minutes start 600 s later
	key := testKey(t)
	s, c := testSigner(t, key, period+100)
	first := bearer(t, s)
	c.now = time.Unix(period+1319, 0)
	if s.expired(first) {
		t.Error("revised 21 minutes less a second after the regular renewal")
	}
	c.now = time.Unix(period+1320, 0)
	if !s.expired(first) {
		t.Fatal("not revised")
	}
	second := bearer(t, s)
	if got := issued(t, key, second); got != period+600 {
		t.Errorf("revised to %d, want %d", got, period+600)
	}
	if !s.expired(first) || bearer(t, s) != second {
		t.Error("who comes late with the old token gets the new one, and makes none")
	}
	if s.expired(second) {
		t.Error("a second revision at once")
	}
	c.now = time.Unix(period+1320+1259, 0)
	if s.expired(second) {
		t.Error("a second revision before 21 minutes")
	}
	c.now = time.Unix(period+1320+1260, 0)
	if !s.expired(second) {
		t.Error("no revision after 21 minutes")
	}
	if got := issued(t, key, bearer(t, s)); got != period+1800 {
		t.Errorf("revised to %d, want %d", got, period+1800)
	}
	c.now = time.Unix(period+3060, 0)
	if got := issued(t, key, bearer(t, s)); got != period+1800 {
		t.Errorf("at the next period: issued at %d, want the revision of less than 21 minutes ago", got)
	}
	c.now = time.Unix(period+1320+1260+1260, 0)
	if got := issued(t, key, bearer(t, s)); got != period+3000 {
		t.Errorf("21 minutes after the revision: issued at %d, want the regular %d", got, period+3000)
	}
}

// Whatever Apple calls expired and whenever, no token follows another sooner than Apple allows, and none is used too old.
func TestTokensFollowEachOtherSlowly(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		s, c := testSigner(t, key, 1790001000+random.Int64N(6000))
		newest := issued(t, key, bearer(t, s))
		since := time.Unix(newest, 0).Add(time.Minute) // the other replicas use it since then
		for range 1000 {
			c.now = c.now.Add(time.Duration(random.Int64N(int64(time.Minute))))
			used := bearer(t, s)
			if random.IntN(3) == 0 {
				s.expired(used)
			}
			at := issued(t, key, used)
			if age := c.now.Unix() - at; age >= 3600 {
				t.Fatalf("seed %d: a token of %d s", seed, age)
			}
			if at == newest {
				continue
			}
			if gap := c.now.Sub(since); gap < 20*time.Minute {
				t.Fatalf("seed %d: a new token after %v", seed, gap)
			}
			newest, since = at, c.now
		}
	}
}

func TestTooManyUpdatesKeepTheTokenBefore(t *testing.T) {
	t.Parallel()
	const period = 1790001000
	key := testKey(t)
	s, c := testSigner(t, key, period+100)
	first := bearer(t, s)
	c.now = time.Unix(period+1320, 0)
	s.expired(first)
	second := bearer(t, s)
	if !s.tooManyUpdates(first) {
		t.Error("an answer to an older token: the one in use is there to try")
	}
	if bearer(t, s) != second {
		t.Error("an answer to an older token changed the one in use")
	}
	if !s.tooManyUpdates(second) {
		t.Error("the one before is there to try")
	}
	if s.tooManyUpdates(first) {
		t.Error("nothing is left to try where that one is refused too")
	}
	if got := issued(t, key, bearer(t, s)); got != period {
		t.Errorf("issued at %d, want the one before at %d", got, period)
	}
	c.now = time.Unix(period+1320+1259, 0)
	if got := issued(t, key, bearer(t, s)); got != period {
		t.Errorf("before 21 minutes: issued at %d, want %d", got, period)
	}
	c.now = time.Unix(period+3060, 0)
	if got := issued(t, key, bearer(t, s)); got != period+3000 {
		t.Errorf("in the next period: issued at %d, want %d", got, period+3000)
	}
}
