package stream

import "strings"

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

// SplitKey returns the ids of a key made by [UserKey], [DeviceKey] or [MemberKey].
func SplitKey(key []byte) []string {
	parts := strings.Split(string(key), "|")
	for i := range parts {
		parts[i] = unescaper.Replace(parts[i])
	}
	return parts
}
