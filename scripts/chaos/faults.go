package main

import (
	"maps"
	"slices"
)

// faultScripts are what the providers do to the fleet, by name; docs/simulators.md says what each line means.
var faultScripts = map[string]string{
	"brown-out": `
faults:
- {name: apns, platform: apns, share: 0.3, do: answer, status: 503, reason: ServiceUnavailable}
- {name: fcm, platform: fcm, share: 0.3, do: answer, status: 503, reason: UNAVAILABLE, retry_after: 1s}`,
	"down": `
faults:
- {name: apns, platform: apns, do: answer, status: 503, reason: Shutdown}
- {name: fcm, platform: fcm, do: answer, status: 500, reason: INTERNAL}`,
	"slow": `
apns: {latency: {p50: 100ms, p99: 800ms, max: 1s}}
fcm: {latency: {p50: 100ms, p99: 800ms, max: 1s}}`,
	"GOAWAY": `
faults:
- {name: answered, do: goaway, every: 40}
- {name: before, do: goaway, last: before, after: 20, every: 60}`,
	"GOAWAY, and the connection ends at once": `
apns: {latency: 20ms}
fcm: {latency: 20ms}
faults: [{name: goaway, do: goaway, last: none, close: true, after: 10, every: 200}]`,
	"429 storm": `
faults:
- {name: device, platform: apns, share: 0.3, by: token, do: answer, status: 429, reason: TooManyRequests, retry_after: 1s}
- {name: project, platform: fcm, share: 0.2, do: answer, status: 429, reason: QUOTA_EXCEEDED, retry_after: 1s}`,
	"refused and reset streams": `
faults:
- {name: refused, share: 0.1, do: refuse_stream}
- {name: reset, share: 0.05, do: reset_stream}`,
	"lost answers": `
faults:
- {name: reset, every: 150, do: reset_stream, accepted: true}
- {name: cut, after: 100, every: 400, do: cut, accepted: true}`,
	"no answers": `
faults: [{name: hang, every: 100, do: hang}]`,
	"a silent connection": `
faults: [{name: silence, after: 20, every: 500, do: silence}]`,
	"broken answers": `
faults:
- {name: page, share: 0.05, do: answer, status: 502, body: "<html>Bad Gateway</html>", content_type: text/html}
- {name: half, share: 0.05, do: answer, status: 500, body: '{"reason":'}`,
	"OAuth fails": `
fcm: {revoke_at: [500ms]}
faults:
- {name: page, where: oauth, times: 2, do: answer, status: 500, body: "<html>"}
- {name: hang, where: oauth, times: 1, do: hang}`,
}

// scripts are their names, in an order that does not change.
func scripts() []string { return slices.Sorted(maps.Keys(faultScripts)) }
