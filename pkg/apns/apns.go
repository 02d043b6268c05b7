// Package apns is the platform APNs. A rendered notification flows in; Apple's headers and payload flow out over
// HTTP/2, and an outcome flows back for each. It promises that no token leaves the path it belongs to, that a payload
// never exceeds Apple's limit, that every answer is classified in one place, and that connections, streams, goroutines
// and memory of a credential are bounded. It logs nothing: neither device tokens nor provider tokens appear in its
// errors.
package apns

import "github.com/pushfleet/pushfleet/pkg/push"

// Platform is the name of APNs in topics, labels and configuration.
const Platform push.Platform = "apns"

// Kind is the platform's line in the fleet's table.
func Kind() push.Kind { return push.Kind{Platform: Platform, Open: Open} }
