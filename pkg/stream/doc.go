// Package stream is the fleet's Kafka. Records flow in through a [Source] and out through a [Publisher]; [Cluster] holds
// the connections, the topics' names and set-up, and what operators ask of a log (lag, heads, bounded scans).
//
// A Source promises at-least-once: an offset is committed only when every record before it was acknowledged, results of
// an old generation are never committed, and a record that was not acknowledged is read again by the next owner. What
// is in flight is bounded by count and by bytes, for the source and for the process. A Publisher promises that done is
// called once, with nil only when the record is durable on all in-sync replicas, and that the records of a partition
// are written in the order in which they were published (a lost reply can write some of them twice, in order).
//
// Membership comes from kafka-go's ConsumerGroup. Fetch and produce requests carry all partitions of a lane or of the
// process that one broker leads, because a request costs about as much for one partition as for sixty-four.
package stream
