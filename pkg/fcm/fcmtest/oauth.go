package fcmtest

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire"
)

const (
	messagingScope = "https://www.googleapis.com/auth/firebase.messaging"
	grantType      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	// maxAccessTokens bounds the memory: the oldest are forgotten first.
	maxAccessTokens = 10_000
	// maxAssertionLife is Google's limit.
	maxAssertionLife = time.Hour
)

// authority is the OAuth side: it knows service accounts and the access tokens that it gave them.
type authority struct {
	now     func() time.Time
	signed  func() time.Time // of assertions
	life    time.Duration
	traffic *pushtest.Traffic

	mu       sync.Mutex
	scripted time.Duration // life in its place; 0 = none
	// revocations are when all tokens until then become invalid.
	revocations []time.Time
	accounts    []*account // an account has a line for each of its keys, as with Google
	tokens      map[string]grant
	order       []string // of tokens, oldest first
	granted     int
}

// grant is what an access token allows.
type grant struct {
	project string
	granted time.Time
	expires time.Time
	used    bool
}

// assertion is what a service account signs in order to get an access token.
type assertion struct {
	Scope string `json:"scope"`
	jwt.RegisteredClaims
}

func (a *authority) trust(known *account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts = append(slices.DeleteFunc(a.accounts, func(old *account) bool {
		return old.email == known.email && old.keyID == known.keyID
	}), known)
}

// signer is the account of an email with that key; without a key's id, the newest. emailKnown says that it has another one.
func (a *authority) signer(email, keyID string) (_ *account, emailKnown bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range slices.Backward(a.accounts) {
		if known.email == email {
			if keyID == "" || keyID == known.keyID {
				return known, true
			}
			emailKnown = true
		}
	}
	return nil, emailKnown
}

// knows says whether any account is the project's.
func (a *authority) knows(project string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range a.accounts {
		if known.project == project {
			return true
		}
	}
	return false
}

// serve answers POST /token.
func (a *authority) serve(r *wire.Request, path string, reply *wire.Reply) {
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		oauthError(reply, "invalid_request", "The form cannot be read.")
		return
	}
	if form.Get("grant_type") != grantType {
		oauthError(reply, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
		return
	}
	signer, word, err := a.check(form.Get("assertion"), "https://"+r.Authority+path)
	if err != nil {
		oauthError(reply, word, err.Error())
		return
	}
	token, life := a.grant(signer.project)
	shapeJSON(reply, http.StatusOK, map[string]any{"access_token": token, "expires_in": int(life.Seconds()), "token_type": "Bearer"})
}

// check verifies an assertion: signature, issuer, audience, life and scope. The word is OAuth's for the error.
func (a *authority) check(text, audience string) (_ *account, word string, _ error) {
	var claims assertion
	var signer *account
	_, err := jwt.ParseWithClaims(text, &claims, func(token *jwt.Token) (any, error) {
		id, _ := token.Header["kid"].(string)
		found, emailKnown := a.signer(claims.Issuer, id)
		signer = found
		if !emailKnown {
			return nil, errors.New("Invalid grant: account not found") //nolint:staticcheck // the words of the real service
		}
		if signer == nil {
			return nil, errors.New("Invalid JWT: unknown key id") //nolint:staticcheck // the words of the real service
		}
		return signer.key, nil
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(time.Minute),
		jwt.WithTimeFunc(a.signed),
	)
	switch {
	case err != nil:
		return nil, "invalid_grant", err
	case claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > maxAssertionLife:
		return nil, "invalid_grant", errors.New("Invalid JWT: token must be short-lived (60 minutes)") //nolint:staticcheck // the words of the real service
	case !strings.Contains(" "+claims.Scope+" ", " "+messagingScope+" "):
		return nil, "invalid_scope", errors.New("Invalid OAuth scope or ID token audience provided.") //nolint:revive,staticcheck // the words of the real service
	}
	return signer, "", nil
}

func (a *authority) grant(project string) (token string, life time.Duration) {
	token = "ya29." + rand.Text() + rand.Text()
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	life = a.life
	if a.scripted > 0 {
		life = a.scripted
	}
	if len(a.order) == maxAccessTokens {
		delete(a.tokens, a.order[0])
		a.order = a.order[1:]
	}
	a.tokens[token] = grant{project: project, granted: now, expires: now.Add(life)}
	a.order = append(a.order, token)
	a.granted++
	return token, life
}

// obey takes over the standing rules of a script.
func (a *authority) obey(rules faults.FCM, began time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scripted = time.Duration(rules.TokenLife)
	a.revocations = nil
	for _, at := range rules.RevokeAt {
		a.revocations = append(a.revocations, began.Add(time.Duration(at)))
	}
}

// bearer is the grant of a request's access token. false = none, unknown or ended.
func (a *authority) bearer(authorization string) (grant, bool) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return grant{}, false
	}
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	g, known := a.tokens[token]
	if !known || !now.Before(g.expires) {
		return grant{}, false
	}
	for _, at := range a.revocations {
		if !now.Before(at) && g.granted.Before(at) {
			return grant{}, false
		}
	}
	if !g.used {
		g.used = true
		a.tokens[token] = g
		a.traffic.Bearer(token)
	}
	return g, true
}

func (a *authority) revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.tokens)
	a.order = nil
}

func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.granted
}

func oauthError(reply *wire.Reply, word, description string) {
	reply.Line.Reason = word
	shapeJSON(reply, http.StatusBadRequest, map[string]string{"error": word, "error_description": description})
}
