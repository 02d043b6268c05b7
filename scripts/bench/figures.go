package main

import "slices"

// figures is the table, in its order. docs/performance.md explains each row.
var figures = slices.Concat(apnsFigures, fcmFigures, messageFigures)

const (
	apns = "pkg/apns"
	fcm  = "pkg/fcm"

	atOnce  = "Send/latency=0s/"
	after50 = "Send/latency=50ms/"
	cpu     = "cpu-µs/op"

	h2load = "Debian's package nghttp2-client"
)

// apnsFigures are those of the APNs sender, beside the library as it comes.
var apnsFigures = []figure{
	{name: "APNs: CPU per push, std / stock apns2", unit: "µs", bound: atMost(0.6, "0.6"),
		measured: series{apns, atOnce + "std", cpu}, baseline: series{apns, atOnce + "apns2", cpu}},
	{name: "APNs: the same, answers after 50 ms", unit: "µs",
		measured: series{apns, after50 + "std", cpu}, baseline: series{apns, after50 + "apns2", cpu}},
	{name: "APNs: pushes/s, answers after 50 ms, std", bound: atLeast(15_000, "15000"),
		measured: series{apns, after50 + "std", "pushes/s"}},
	{name: "APNs: resident memory, 20,000 in flight, std", unit: "MB", bound: atMost(250, "250 MB"),
		measured: series{apns, "InFlight/std", "peak-MB"}},
	{name: "APNs: connections, cold start of 1,000 callers, std", bound: atMost(4, "4"),
		measured: series{apns, "ColdStart/std", "connections"}},
}

// fcmFigures are those of the FCM sender, beside the SDK as it comes.
var fcmFigures = []figure{
	{name: "FCM: CPU per send, std / stock SendEach, 50 in flight", unit: "µs", bound: atMost(0.7, "0.7"),
		measured: series{fcm, "Send/std/in-flight=50", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: the same, 500 in flight against its 50", unit: "µs",
		measured: series{fcm, "Send/std/in-flight=500", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: sends/s, answers after 50 ms, std", bound: atLeast(15_000, "15000"),
		measured: series{fcm, "Latency/std", "sends/s"}},
	{name: "FCM: resident memory, 20,000 in flight, std", unit: "MB", bound: atMost(250, "250 MB"),
		measured: series{fcm, "InFlight/std", "peak-MB"}},
	{name: "FCM: connections, cold start of 1,000 callers, std", bound: atMost(4, "4"),
		measured: series{fcm, "ColdStart/std", "connections"}},
}

// messageFigures are those of what comes before a sender, and of the registry.
var messageFigures = []figure{
	{name: "parse and render a text message: time", unit: "µs", scale: 1e-3, bound: atMost(8, "8 µs"),
		measured: series{"pkg/message", "ParseRender/text", "ns/op"}},
	{name: "parse and render a text message: allocations", bound: atMost(20, "20"),
		measured: series{"pkg/message", "ParseRender/text", "allocs/op"}},
	{name: "group of 100,000: p99 of one-to-one meanwhile", unit: "ms", bound: atMost(500, "500 ms"),
		measured: series{"workers/fleet", "BigGroup", "one-to-one-p99-ms"}},
	{name: "group of 100,000: time to its last push", unit: "s",
		measured: series{"workers/fleet", "BigGroup", "group-s"}},
	{name: "rebuild of a registry of 1,000,000 devices", unit: "s", bound: atMost(300, "300 s"),
		measured: series{"workers/devices", "Rebuild", "s/rebuild"}},
	{name: "Redis memory per device", unit: "bytes", bound: atMost(500, "500 bytes"),
		measured: series{"workers/devices", "Rebuild", "redis-bytes/device"}},
}
