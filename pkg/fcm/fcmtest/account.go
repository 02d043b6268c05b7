package fcmtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// serviceAccount is the file of a service account, as far as the simulator has a use for it.
type serviceAccount struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// NewServiceAccount makes the JSON of a throw-away service account that gets its access tokens at tokenURI. Its RSA key
// takes a fraction of a second to make.
func NewServiceAccount(project, tokenURI string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("service account: make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	return json.MarshalIndent(serviceAccount{
		Type:         "service_account",
		ProjectID:    project,
		PrivateKeyID: rand.Text(),
		PrivateKey:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ClientEmail:  "pushfleet@" + project + ".iam.gserviceaccount.com",
		TokenURI:     tokenURI,
	}, "", "  ")
}

// account is a service account that the simulator trusts.
type account struct {
	project string
	email   string
	keyID   string
	key     *rsa.PublicKey
}

func parseAccount(data []byte) (*account, error) {
	var file serviceAccount
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	if block == nil {
		return nil, errors.New("service account: private_key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("service account: private_key is not PKCS #8")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("service account: private_key is not RSA")
	}
	return &account{
		project: file.ProjectID,
		email:   file.ClientEmail,
		keyID:   file.PrivateKeyID,
		key:     &private.PublicKey,
	}, nil
}
