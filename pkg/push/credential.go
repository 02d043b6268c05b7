package push

import "time"

// CredentialState is what may be told of a credential. Nothing in it is secret.
type CredentialState struct {
	App         string
	Name        string // in the configuration
	Platform    Platform
	Kind        string    // "p8", "p12", "service_account"; "" = none is in use
	Source      string    // the file, or the environment variable, that it is read from
	KeyID       string    // the provider's name of the key in use; "" = not known
	Fingerprint string    // of the key in use: another key has another one; "" = none is in use
	Expires     time.Time // of the key in use; zero = never
	Problem     string    // "" = nothing is wrong; where a key is in use, it stays so
}

// CredentialKeeper is a [Driver] that knows its credentials and follows their files.
type CredentialKeeper interface {
	// RefreshCredentials looks at every credential's files again, and takes over what has changed there and is good:
	// what is being sent ends with the old key, later sends take the new one. What is wrong is refused, and the key
	// before stays in use. A change is taken over at the second look that sees it. The states are in the order of apps
	// and names. It is called by one goroutine.
	RefreshCredentials() []CredentialState
}
