package registry

import "errors"

// CheckID says what is wrong with the id of an app, a user, a device or a group; nil where it is one: 1 to 128 bytes of
// UTF-8 without control characters.
func CheckID(id string) error {
	if what := wrongText(id, 1, maxID); what != "" {
		return errors.New(what)
	}
	return nil
}
