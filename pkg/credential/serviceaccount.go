package credential

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2/jwt"
)

// GoogleTokenURI is where Google exchanges a signed assertion for an access token.
const GoogleTokenURI = "https://oauth2.googleapis.com/token"

// minRSABits is what Google itself issues, and what RS256 asks for (RFC 7518, 3.3).
const minRSABits = 2048

// projectID is a Google Cloud project id, with the domain that an old one may have: it becomes part of a path.
var projectID = regexp.MustCompile(`^([a-z0-9.-]{1,100}:)?[a-z][a-z0-9-]{1,62}$`)

// ServiceAccount is a checked Google service account. Its private key leaves it only as signatures. Safe for concurrent
// use.
type ServiceAccount struct {
	ProjectID string
	Email     string
	KeyID     string // "" where the file has none
	TokenURI  string // trusted: see [ParseServiceAccount]
	key       []byte // PEM, RSA
	public    *rsa.PublicKey
}

// String names the account without its key.
func (a *ServiceAccount) String() string { return "service account " + a.Email }

// GoString is String: %#v must not print the key either.
func (a *ServiceAccount) GoString() string { return a.String() }

// Facts tells of the account's key. Google's keys for service accounts end only by being revoked.
func (a *ServiceAccount) Facts() Facts {
	return Facts{Kind: KindServiceAccount, KeyID: a.KeyID, Fingerprint: keyFingerprint(a.public)}
}

// JWTConfig is how the account asks for access tokens of the given scopes.
func (a *ServiceAccount) JWTConfig(scopes ...string) *jwt.Config {
	return &jwt.Config{
		Email:        a.Email,
		PrivateKey:   a.key,
		PrivateKeyID: a.KeyID,
		Scopes:       scopes,
		TokenURL:     a.TokenURI,
	}
}

// ParseServiceAccount checks the JSON of a service account and names every mistake, without quoting key material.
//
// Whoever holds token_uri gets assertions signed by the account, so it must be Google's. Only where the configuration
// sends the provider's own requests elsewhere too (endpoint, "" = nowhere else) may it be that host, or a loopback
// address.
func ParseServiceAccount(data []byte, endpoint string) (*ServiceAccount, error) {
	var file struct {
		Type         string `json:"type"`
		ProjectID    string `json:"project_id"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		ClientEmail  string `json:"client_email"`
		TokenURI     string `json:"token_uri"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("not the JSON of a service account%s", jsonFailure(err))
	}
	var mistakes []error
	if file.Type != "service_account" {
		mistakes = append(mistakes, fmt.Errorf("type: %q, want service_account", shorten(file.Type)))
	}
	if !projectID.MatchString(file.ProjectID) {
		mistakes = append(mistakes, fmt.Errorf("project_id: %q is no project id", shorten(file.ProjectID)))
	}
	if !strings.Contains(file.ClientEmail, "@") {
		mistakes = append(mistakes, fmt.Errorf("client_email: %q is no address", shorten(file.ClientEmail)))
	}
	key, err := parseRSAKey(file.PrivateKey)
	if err != nil {
		mistakes = append(mistakes, fmt.Errorf("private_key: %w", err))
	}
	if err := checkTokenURI(file.TokenURI, endpoint); err != nil {
		mistakes = append(mistakes, fmt.Errorf("token_uri: %w", err))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return &ServiceAccount{
		ProjectID: file.ProjectID,
		Email:     file.ClientEmail,
		KeyID:     file.PrivateKeyID,
		TokenURI:  file.TokenURI,
		key:       []byte(file.PrivateKey),
		public:    &key.PublicKey,
	}, nil
}

// jsonFailure says where the JSON is wrong; the parser's own words may quote a character of the content.
func jsonFailure(err error) string {
	var wrong *json.UnmarshalTypeError
	var broken *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf(": %s is no text", shorten(wrong.Field))
	case errors.As(err, &broken):
		return fmt.Sprintf(": broken at byte %d", broken.Offset)
	}
	return ""
}

// parseRSAKey reads the key for its mistakes and its public half: the signing library takes PEM.
func parseRSAKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("not PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errors.New("PEM, but of no private key")
	}
	if err != nil {
		return nil, errors.New("not a readable private key")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, want RSA", key)
	}
	if bits := rsaKey.N.BitLen(); bits < minRSABits {
		return nil, fmt.Errorf("RSA with %d bits, want %d or more", bits, minRSABits)
	}
	return rsaKey, nil
}

func checkTokenURI(uri, endpoint string) error {
	if uri == GoogleTokenURI {
		return nil
	}
	if endpoint == "" {
		return fmt.Errorf("%q, want %s: anyone else would get assertions signed by this account", shorten(uri), GoogleTokenURI)
	}
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
		return fmt.Errorf("%q is no https address", shorten(uri))
	}
	if isLoopback(parsed.Hostname()) {
		return nil
	}
	if override, err := url.Parse(endpoint); err == nil && parsed.Host == override.Host {
		return nil
	}
	return fmt.Errorf("%q is neither Google's, nor on loopback, nor on the host of the configured endpoint", shorten(uri))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// shorten keeps a wrong value from filling a log.
func shorten(value string) string {
	const limit = 80
	if len(value) <= limit {
		return value
	}
	return value[:limit] + "…"
}
