// Package telemetry is what an operator sees of a process. Counts and states flow in from the roles; a log on stderr,
// metrics in Prometheus' text format, and answers to health probes flow out.
//
// The metrics, besides those of the Go runtime and the process:
//
//	pushfleet_records_total{role,topic}                          records handed to a role
//	pushfleet_outcomes_total{platform,disposition,reason}        ends and repeats of notifications, and what was filtered
//	pushfleet_send_seconds{platform}                             from a send's start until its answer
//	pushfleet_delivery_seconds{platform,lane}                    from the chat record's time until the provider took it
//	pushfleet_credential_expiry_days{platform,app,credential}    of the one in use; absent where it never expires
//	pushfleet_credential_problem{platform,app,credential}        1: its file cannot be used, or the one in use has expired
//	pushfleet_credential_replaced_total{platform,app,credential} changed files that were taken over
//	pushfleet_in_flight{role,group}                              records read, not yet acknowledged
//	pushfleet_lag{group,topic,partition}                         records not yet read or not yet acknowledged
//	pushfleet_provider_circuit{platform}                         0 closed, 1 half-open, 2 open: the provider is down
//	pushfleet_credential_circuit{platform,app,credential}        the same: the credential is refused
//	pushfleet_paused{platform,app,credential}                    1 = by an operator
//	pushfleet_brake{platform,app,credential}                     1 = so many tokens are rejected that none is dropped
//	pushfleet_concurrency_limit{platform,app,credential}         sends that may be in flight
//	pushfleet_sends_in_flight{platform,app,credential}
//	pushfleet_sends_waiting{platform,app,credential}             admitted, waiting for a place
//	pushfleet_kafka_requests_total{role,group,api}               fetch, commit
//	pushfleet_kafka_request_errors_total{role,group,api}         of them
//	pushfleet_kafka_fetched_bytes_total{role,group}
//	pushfleet_kafka_generations_total{role,group}                rebalances that this process saw
//	pushfleet_kafka_out_of_range_total{role,group}               partitions reset because their offset was not in the log
//	pushfleet_kafka_damaged_total{role,group}                    record batches that could not be read: each became a dead letter
//	pushfleet_kafka_abandoned_total{role,group}                  records that a drain ran out of time for: read again
//	pushfleet_kafka_produce_requests_total{publisher}
//	pushfleet_kafka_produce_errors_total{publisher}              requests that failed and were repeated
//	pushfleet_kafka_produced_records_total{publisher}
//	pushfleet_kafka_produced_bytes_total{publisher}
//	pushfleet_kafka_failed_records_total{publisher}              given up
//	pushfleet_kafka_queued_records{publisher}                    waiting to be written
//
// It promises that a label's values come from closed lists (roles, topics, platforms, lanes, reasons) or from the
// configuration, never from a message, a user or a provider's text, and that counting never blocks.
package telemetry
