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

// apnsFigures are those of the APNs sender on its two transports, beside the library as it comes and h2load.
var apnsFigures = []figure{
	{name: "APNs: CPU per push, h2 / stock apns2", unit: "µs", bound: atMost(1.0/3, "1/3"),
		measured: series{apns, atOnce + "h2", cpu}, baseline: series{apns, atOnce + "apns2", cpu}},
	{name: "APNs: CPU per push, h2 / h2load per request", unit: "µs", bound: atMost(5, "5"), needs: h2load,
		measured: series{apns, atOnce + "h2", cpu}, baseline: series{apns, atOnce + "h2load", cpu}},
	{name: "APNs: CPU per push, std / stock apns2", unit: "µs", bound: atMost(0.6, "0.6"),
		measured: series{apns, atOnce + "std", cpu}, baseline: series{apns, atOnce + "apns2", cpu}},
	{name: "APNs: CPU per push, h2 / stock apns2, answers after 50 ms", unit: "µs",
		measured: series{apns, after50 + "h2", cpu}, baseline: series{apns, after50 + "apns2", cpu}},
	{name: "APNs: CPU per push, std / stock apns2, answers after 50 ms", unit: "µs",
		measured: series{apns, after50 + "std", cpu}, baseline: series{apns, after50 + "apns2", cpu}},
	{name: "APNs: allocations per push, h2", bound: atMost(25, "25"),
		measured: series{apns, atOnce + "h2", "allocs/op"}},
	{name: "APNs: pushes/s, answers after 50 ms, h2", bound: atLeast(15_000, "15000"),
		measured: series{apns, after50 + "h2", "pushes/s"}},
	{name: "APNs: pushes/s, answers after 50 ms, std", bound: atLeast(15_000, "15000"),
		measured: series{apns, after50 + "std", "pushes/s"}},
	{name: "APNs: pushes/s over one connection, 1,000 streams, 50 ms, h2", bound: atLeast(15_000, "15000"),
		measured: series{apns, "OneConnection/h2", "pushes/s"}},
	{name: "APNs: pushes/s over one connection, 1,000 streams, 50 ms, std",
		measured: series{apns, "OneConnection/std", "pushes/s"}},
	{name: "APNs: resident memory, 20,000 in flight, h2", unit: "MB", bound: atMost(250, "250 MB"),
		measured: series{apns, "InFlight/h2", "MB"}},
	{name: "APNs: resident memory, 20,000 in flight, std", unit: "MB",
		measured: series{apns, "InFlight/std", "MB"}},
	{name: "APNs: connections, cold start of 1,000 callers, h2", bound: atMost(4, "4"),
		measured: series{apns, "ColdStart/h2", "connections"}},
	{name: "APNs: connections, cold start of 1,000 callers, std", bound: atMost(4, "4"),
		measured: series{apns, "ColdStart/std", "connections"}},
	{name: "APNs: client's own time at half the top rate, h2, p99 / p50", unit: "µs",
		measured: series{apns, "Tail", "own-p99-µs"}, baseline: series{apns, "Tail", "own-p50-µs"}},
}

// fcmFigures are those of the FCM sender on its two transports, beside the SDK as it comes.
var fcmFigures = []figure{
	{name: "FCM: CPU per send, h2 / stock SendEach, 50 in flight", unit: "µs", bound: atMost(0.5, "1/2"),
		measured: series{fcm, "Send/h2/in-flight=50", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: CPU per send, h2 at 500 in flight / stock SendEach", unit: "µs", bound: atMost(0.5, "1/2"),
		measured: series{fcm, "Send/h2/in-flight=500", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: CPU per send, std / stock SendEach, 50 in flight", unit: "µs", bound: atMost(0.7, "0.7"),
		measured: series{fcm, "Send/std/in-flight=50", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: CPU per send, std at 500 in flight / stock SendEach", unit: "µs",
		measured: series{fcm, "Send/std/in-flight=500", cpu}, baseline: series{fcm, "Send/SendEach", cpu}},
	{name: "FCM: sends/s, answers after 50 ms, h2", bound: atLeast(15_000, "15000"),
		measured: series{fcm, "Latency/h2", "sends/s"}},
	{name: "FCM: sends/s, answers after 50 ms, std", bound: atLeast(15_000, "15000"),
		measured: series{fcm, "Latency/std", "sends/s"}},
	{name: "FCM: resident memory, 20,000 in flight, h2", unit: "MB",
		measured: series{fcm, "InFlight/h2", "MB"}},
	{name: "FCM: resident memory, 20,000 in flight, std", unit: "MB",
		measured: series{fcm, "InFlight/std", "MB"}},
	{name: "FCM: connections, cold start of 1,000 callers, h2", bound: atMost(4, "4"),
		measured: series{fcm, "ColdStart/h2", "connections"}},
	{name: "FCM: connections, cold start of 1,000 callers, std",
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
