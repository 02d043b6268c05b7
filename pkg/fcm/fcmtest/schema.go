package fcmtest

// kind is what a field of the message takes.
type kind uint8

const (
	kindString kind = iota
	kindBool
	kindInt
	kindTTL       // a duration in seconds with an s, at most four weeks
	kindPriority  // normal or high
	kindStrings   // an array of strings
	kindData      // an object of strings without the keys that FCM keeps for itself
	kindObject    // an object of its own schema
	kindAnyObject // an object whose content is another service's
	kindAny       // not looked into
)

// field is one field of the API's schema.
type field struct {
	kind   kind
	fields map[string]field // of a kindObject
}

// requestSchema is a send request of google.firebase.fcm.v1, by names in lowerCamelCase as its discovery document has
// them; JSON may also write them with underscores.
func requestSchema() field {
	text, flag, number := field{kind: kindString}, field{kind: kindBool}, field{kind: kindInt}
	texts := field{kind: kindStrings}
	object := func(fields map[string]field) field { return field{kind: kindObject, fields: fields} }
	label := object(map[string]field{"analyticsLabel": text})
	androidNotification := object(map[string]field{
		"body": text, "bodyLocArgs": texts, "bodyLocKey": text, "bypassProxyNotification": flag, "channelId": text,
		"clickAction": text, "color": text, "defaultLightSettings": flag, "defaultSound": flag,
		"defaultVibrateTimings": flag, "eventTime": text, "icon": text, "image": text, "lightSettings": {kind: kindAny},
		"localOnly": flag, "notificationCount": number, "notificationPriority": text, "proxy": text, "sound": text,
		"sticky": flag, "tag": text, "ticker": text, "title": text, "titleLocArgs": texts, "titleLocKey": text,
		"vibrateTimings": texts, "visibility": text,
	})
	android := object(map[string]field{
		"bandwidthConstrainedOk": flag, "collapseKey": text, "data": {kind: kindData}, "directBootOk": flag,
		"fcmOptions": label, "notification": androidNotification, "priority": {kind: kindPriority},
		"restrictedPackageName": text, "restrictedSatelliteOk": flag, "ttl": {kind: kindTTL},
	})
	message := object(map[string]field{
		"android": android, "apns": {kind: kindAnyObject}, "condition": text, "data": {kind: kindData},
		"fcmOptions": label, "name": text,
		"notification": object(map[string]field{"body": text, "image": text, "title": text}),
		"token":        text, "topic": text, "webpush": {kind: kindAnyObject},
	})
	return object(map[string]field{"validateOnly": flag, "message": message})
}
