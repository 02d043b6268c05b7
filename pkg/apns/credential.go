package apns

import (
	"errors"
	"fmt"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// credentialConfig is one credential of an app: a signing key, or a certificate, each from a file or from an environment
// variable.
type credentialConfig struct {
	Platform     push.Platform `koanf:"platform"`
	KeyFile      string        `koanf:"key_file"` // p8
	KeyEnv       string        `koanf:"key_env"`
	KeyID        string        `koanf:"key_id"`
	KeyIDFile    string        `koanf:"key_id_file"` // instead of key_id: it changes together with the key
	P12File      string        `koanf:"p12_file"`
	P12Env       string        `koanf:"p12_env"`
	PasswordFile string        `koanf:"password_file"` // of the p12
	PasswordEnv  string        `koanf:"password_env"`
	TeamID       string        `koanf:"team_id"` // with a p12: checked where it is set
	BundleID     string        `koanf:"bundle_id"`
	Environment  string        `koanf:"environment"`
}

// signs says whether the credential is a key; it is a certificate else.
func (c credentialConfig) signs() bool { return c.KeyFile != "" || c.KeyEnv != "" }

func decodeCredential(block push.Block) (credentialConfig, error) {
	cfg := credentialConfig{Environment: "production"}
	if err := block.Decode(&cfg); err != nil {
		return cfg, err
	}
	wrong := mistakes{path: block.Path()}
	cfg.checkSource(&wrong)
	if !bundleID.MatchString(cfg.BundleID) {
		wrong.add("bundle_id", "want letters, digits, dots and hyphens, as com.example.demo")
	}
	if cfg.Environment != "production" && cfg.Environment != "development" {
		wrong.add("environment", "want production or development")
	}
	return cfg, wrong.joined()
}

// checkSource wants one key or one certificate, and nothing that belongs to the other.
func (c credentialConfig) checkSource(wrong *mistakes) {
	given := 0
	for _, source := range []string{c.KeyFile, c.KeyEnv, c.P12File, c.P12Env} {
		if source != "" {
			given++
		}
	}
	switch {
	case given == 0:
		wrong.add("key_file", "missing; or one of key_env, p12_file, p12_env")
	case given > 1:
		wrong.add("key_file", "want only one of key_file, key_env, p12_file, p12_env")
	}
	if c.signs() || given == 0 {
		c.checkKey(wrong)
		return
	}
	if c.KeyID != "" || c.KeyIDFile != "" {
		wrong.add("key_id", "a certificate has none")
	}
	if c.TeamID != "" && !credential.IsAppleID(c.TeamID) {
		wrong.add("team_id", wantAppleID)
	}
	if c.PasswordFile != "" && c.PasswordEnv != "" {
		wrong.add("password_file", "want only one of password_file, password_env")
	}
}

const wantAppleID = "want Apple's 10 letters and digits"

func (c credentialConfig) checkKey(wrong *mistakes) {
	switch {
	case c.KeyIDFile != "" && c.KeyID != "":
		wrong.add("key_id_file", "want only one of key_id, key_id_file")
	case c.KeyIDFile == "" && !credential.IsAppleID(c.KeyID):
		wrong.add("key_id", wantAppleID)
	}
	if !credential.IsAppleID(c.TeamID) {
		wrong.add("team_id", wantAppleID)
	}
	if c.PasswordFile != "" || c.PasswordEnv != "" {
		wrong.add("password_file", "a p8 key has no password")
	}
}

// configured is a credential, and what keeps it.
type configured struct {
	credentialConfig
	keeper *credential.Keeper[identity]
}

// identity is how a credential proves who it is: a key with its id, or a certificate.
type identity struct {
	key         credential.P8
	keyID       string
	certificate *credential.P12 // nil with a key
}

func (i identity) facts() credential.Facts {
	if i.certificate != nil {
		return i.certificate.Facts()
	}
	return i.key.Facts(i.keyID)
}

// configure reads nothing.
func (d *driver) configure(cfg credentialConfig, path string) *configured {
	file := func(name string) string {
		if name == "" {
			return ""
		}
		return absolute(d.dir, name)
	}
	source := credential.Source{File: file(cfg.KeyFile), Env: cfg.KeyEnv, KeyIDFile: file(cfg.KeyIDFile)}
	key, parse := "key_file", d.parseKey
	switch {
	case cfg.KeyEnv != "":
		key = "key_env"
	case cfg.P12File != "":
		key = "p12_file"
	case cfg.P12Env != "":
		key = "p12_env"
	}
	if !cfg.signs() {
		source = credential.Source{File: file(cfg.P12File), Env: cfg.P12Env, PasswordFile: file(cfg.PasswordFile), PasswordEnv: cfg.PasswordEnv}
		parse = d.parseCertificate
	}
	return &configured{
		credentialConfig: cfg,
		keeper: credential.NewKeeper(credential.Config[identity]{
			Path:   path + "." + key,
			Source: source,
			Parse:  func(m credential.Material) (identity, error) { return parse(cfg, m) },
			Facts:  identity.facts,
			Open:   func(i identity) (credential.Opened, error) { return d.open(cfg, i) },
			Now:    d.now,
		}),
	}
}

func (d *driver) parseKey(cfg credentialConfig, m credential.Material) (identity, error) {
	key, err := credential.ParseP8(m.Content)
	if err != nil {
		return identity{}, err
	}
	i := identity{key: key, keyID: cfg.KeyID}
	if cfg.KeyIDFile != "" {
		if i.keyID = m.KeyID; !credential.IsAppleID(i.keyID) {
			return identity{}, errors.New("key_id_file: " + wantAppleID)
		}
	}
	if named := credential.KeyIDOfName(cfg.KeyFile); named != "" && named != i.keyID {
		return identity{}, fmt.Errorf("the file's name says key id %s, the configuration %s", named, i.keyID)
	}
	return i, nil
}

func (d *driver) parseCertificate(cfg credentialConfig, m credential.Material) (identity, error) {
	certificate, err := credential.ParseP12(m.Content, m.Password)
	if err != nil {
		return identity{}, err
	}
	use := credential.Use{BundleID: cfg.BundleID, TeamID: cfg.TeamID, Environment: cfg.Environment}
	return identity{certificate: certificate}, certificate.CheckUse(use, d.now())
}

// open makes a sender with connections of its own: Apple binds one to the first key that is used on it.
func (d *driver) open(cfg credentialConfig, i identity) (credential.Opened, error) {
	roots, err := d.roots()
	if err != nil {
		return credential.Opened{}, err
	}
	host := d.cfg.host(cfg.Environment)
	if i.certificate != nil {
		s := newSender(newDialer(host, roots, &i.certificate.Certificate, appleTiming), cfg.BundleID, certified{}, d.cfg, d.now)
		return credential.Opened{Sender: s, Close: s.close}, nil
	}
	signer, release := d.signer(cfg.TeamID, i)
	s := newSender(newDialer(host, roots, nil, appleTiming), cfg.BundleID, signer, d.cfg, d.now)
	return credential.Opened{Sender: s, Close: func() { s.close(); release() }}, nil
}

// signerName is what makes two credentials share a provider token: Apple counts tokens by key.
type signerName struct{ team, key, fingerprint string }

// sharedSigner is a signer and the number of its senders.
type sharedSigner struct {
	*signer
	senders int
}

// signer gives the signer of a key, which is forgotten with the last release.
func (d *driver) signer(team string, i identity) (_ *signer, release func()) {
	name := signerName{team: team, key: i.keyID, fingerprint: i.facts().Fingerprint}
	d.mu.Lock()
	defer d.mu.Unlock()
	shared := d.signers[name]
	if shared == nil {
		shared = &sharedSigner{signer: newSigner(i.key.Key, team, i.keyID, d.now)}
		d.signers[name] = shared
	}
	shared.senders++
	return shared.signer, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if shared.senders--; shared.senders == 0 {
			delete(d.signers, name)
		}
	}
}

var _ push.CredentialKeeper = (*driver)(nil)
