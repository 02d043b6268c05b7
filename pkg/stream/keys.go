package stream

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escaper keeps "|" a separator: ids may hold any character but control ones.
var escaper = strings.NewReplacer("%", "%25", "|", "%7C")

// UserKey is the key of a user's records: app|user.
func UserKey(app, user string) []byte {
	return []byte(escaper.Replace(app) + "|" + escaper.Replace(user))
}

// DeviceKey is the key of a device's records: app|user|device.
func DeviceKey(app, user, device string) []byte {
	return []byte(escaper.Replace(app) + "|" + escaper.Replace(user) + "|" + escaper.Replace(device))
}

// MemberKey is the key of one membership: app|group|user.
func MemberKey(app, group, user string) []byte {
	return []byte(escaper.Replace(app) + "|" + escaper.Replace(group) + "|" + escaper.Replace(user))
}

// unescaper undoes escaper; any other "%" stands for itself, so that a key of foreign make is still readable.
var unescaper = strings.NewReplacer("%25", "%", "%7C", "|", "%7c", "|")

// maxID is the longest id of an app, user, device or group, in bytes.
const maxID = 128

// errKey quotes nothing: a key holds whatever its producer wrote.
var errKey = errors.New("key: its parts have to be 1 to 128 bytes of UTF-8 without control characters each")

// SplitKey returns the ids of a key made by [UserKey], [DeviceKey] or [MemberKey]; how many there are is the caller's to
// check. It is an error where one of them could not be an id: a null key, an empty part, what is no text.
func SplitKey(key []byte) ([]string, error) {
	parts := strings.Split(string(key), "|")
	for i := range parts {
		parts[i] = unescaper.Replace(parts[i])
		if p := parts[i]; p == "" || len(p) > maxID || !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) {
			return nil, errKey
		}
	}
	return parts, nil
}
