package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// Separators inside packed values. Ids, tokens and names hold no control characters, so these never occur in them.
const (
	unit   = "\x1f" // between the fields of a record
	record = "\x1e" // between records
)

// escapeTag keeps an id from cutting a key's hash tag short, emptying it, or moving its border with the next id.
var escapeTag = strings.NewReplacer("%", "%25", "|", "%7C", "{", "%7B", "}", "%7D")

// userTag is the hash tag of everything that is one user's, without the braces.
func userTag(app, user string) string {
	if strings.ContainsAny(app, "%|{}") || strings.ContainsAny(user, "%|{}") {
		return escapeTag.Replace(app) + "|" + escapeTag.Replace(user)
	}
	return app + "|" + user
}

func userKey(tag string) string         { return "u:{" + tag + "}" }
func claimKey(tag, claim string) string { return "c:{" + tag + "}:" + claim }
func markKey(tag, id string) string     { return "n:{" + tag + "}:" + id }

func settingsKey(tag string) string { return "s:{" + tag + "}" }

// readKey names the note that the user has read a message.
func readKey(tag, digest string) string { return "r:{" + tag + "}:" + digest }

// badgePrefix, with a device's id behind it, names the set of the messages that the device's number counts (badge.lua).
func badgePrefix(tag string) string { return "b:{" + tag + "}:" }

// syncPrefix, with a device's id behind it, names the note that a correction of the device's number is on its way.
func syncPrefix(tag string) string { return "y:{" + tag + "}:" }

// digest stands for a message key where many are kept. Its 72 bits leave no chance that two of one user's messages are
// mistaken for each other.
func digest(msgKey string) string {
	sum := sha256.Sum256([]byte(msgKey))
	var text [12]byte
	base64.RawURLEncoding.Encode(text[:], sum[:9])
	return string(text[:])
}

// tokenKey names the key that says to which device a token belongs. The app is part of it: one app's tokens are never
// another's to take away.
func tokenKey(app, token string) string {
	sum := sha256.Sum256([]byte(app + "\x00" + token))
	return "t:{" + base64.RawURLEncoding.EncodeToString(sum[:15]) + "}"
}

// messageTag is the hash tag of what is known of a message key, whoever its recipients are.
func messageTag(app, key string) string {
	sum := sha256.Sum256([]byte(key))
	return userTag(app, base64.RawURLEncoding.EncodeToString(sum[:12]))
}

func messageKey(tag string) string { return "m:{" + tag + "}" }

// A group's keys share one hash tag, so that a bucket is split atomically.
func groupKey(tag string) string              { return "g:{" + tag + "}" }
func bucketKey(tag string, bucket int) string { return groupKey(tag) + ":" + strconv.Itoa(bucket) }

// TokenHash is what may be shown of a token: the first 16 hex digits of its SHA-256; "" for no token.
func TokenHash(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}
