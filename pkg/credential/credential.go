// Package credential reads what platforms prove themselves with: Apple's signing keys (p8) and certificates (p12), and
// Google's service accounts. A file or an environment variable flows in; a checked credential flows out, or an error
// that says what is wrong and never quotes a key or a password. A [Keeper] holds one credential in use, notices that
// its files have changed, and replaces it and the sender that works with it; what is new and wrong is refused, and the
// one before stays in use.
package credential

import "time"

// The kinds of a credential.
const (
	KindP8             = "p8"              // Apple's signing key
	KindP12            = "p12"             // Apple's certificate with its key
	KindServiceAccount = "service_account" // Google's
)

// Facts is what may be told of a credential. Nothing in it is secret.
type Facts struct {
	Kind        string    // one of the kinds
	KeyID       string    // the provider's name of the key, a certificate's serial number; "" = not known
	Fingerprint string    // 16 hexadecimal digits; another key has another one
	Expires     time.Time // zero = never
}

// Expired says that the time of a credential is over; nil where it is not.
func (f Facts) Expired(now time.Time) error {
	if f.Expires.IsZero() || now.Before(f.Expires) {
		return nil
	}
	return expiredError{f.Expires}
}

type expiredError struct{ at time.Time }

func (e expiredError) Error() string { return "expired on " + e.at.UTC().Format(time.DateOnly) }
