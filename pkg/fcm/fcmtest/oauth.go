package fcmtest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
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
	now  func() time.Time
	life time.Duration

	mu       sync.Mutex
	accounts map[string]*account // by email
	tokens   map[string]grant
	order    []string // of tokens, oldest first
	granted  int
}

// grant is what an access token allows.
type grant struct {
	project string
	expires time.Time
}

// assertion is what a service account signs in order to get an access token.
type assertion struct {
	Scope string `json:"scope"`
	jwt.RegisteredClaims
}

func (a *authority) trust(known *account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[known.email] = known
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

// serveToken answers POST /token.
func (a *authority) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	if err := r.ParseForm(); err != nil {
		writeOAuthError(w, "invalid_request", "The form cannot be read.")
		return
	}
	if r.PostForm.Get("grant_type") != grantType {
		writeOAuthError(w, "unsupported_grant_type", "Invalid grant_type: "+r.PostForm.Get("grant_type"))
		return
	}
	signer, word, err := a.check(r.PostForm.Get("assertion"), "https://"+r.Host+r.URL.Path)
	if err != nil {
		writeOAuthError(w, word, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": a.grant(signer.project),
		"expires_in":   int(a.life.Seconds()),
		"token_type":   "Bearer",
	})
}

// check verifies an assertion: signature, issuer, audience, life and scope. The word is OAuth's for the error.
func (a *authority) check(text, audience string) (_ *account, word string, _ error) {
	var claims assertion
	var signer *account
	_, err := jwt.ParseWithClaims(text, &claims, func(token *jwt.Token) (any, error) {
		a.mu.Lock()
		signer = a.accounts[claims.Issuer]
		a.mu.Unlock()
		if signer == nil {
			return nil, errors.New("Invalid grant: account not found") //nolint:staticcheck // the words of the real service
		}
		if id, _ := token.Header["kid"].(string); id != "" && id != signer.keyID {
			return nil, errors.New("Invalid JWT: unknown key id") //nolint:staticcheck // the words of the real service
		}
		return signer.key, nil
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(time.Minute),
		jwt.WithTimeFunc(a.now),
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

func (a *authority) grant(project string) string {
	token := "ya29." + rand.Text() + rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) == maxAccessTokens {
		delete(a.tokens, a.order[0])
		a.order = a.order[1:]
	}
	a.tokens[token] = grant{project: project, expires: a.now().Add(a.life)}
	a.order = append(a.order, token)
	a.granted++
	return token
}

// bearer is the grant of a request's access token. false = none, unknown or ended.
func (a *authority) bearer(r *http.Request) (grant, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return grant{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	g, known := a.tokens[token]
	return g, known && a.now().Before(g.expires)
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

func writeOAuthError(w http.ResponseWriter, word, description string) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": word, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only where the client went away
}
