package report

// explanation says what the columns mean.
const explanation = `
## How to read it

Three real brokers (replication 3, two in sync), a real Redis and the simulators of APNs and FCM, with five kinds of worker
processes, two of each. Everything between them goes through proxies. Messages to one user, to some of a group and to a
whole group flow at an even rate while phones come to the foreground, go to the background, are killed, log out and in.
When a scenario's faults are over, everything is worked off before the next one begins, so that each has figures of its own.

The checker knows what Kafka holds of im.messages, what was produced about each phone and when Kafka had it, what the
simulators' ledgers hold, the ends in push.events and the dead letters. It works out by itself who was to get what.

| Column | Meaning |
|---|---|
| messages, bad records | what Kafka holds of im.messages: those of one key count once; and those that no reader can use, which have to become dead letters |
| lost | neither pushed nor ended with a reason that the phone's state explains; or a record that nobody can read without a dead letter; or a record that Kafka said it has and has not |
| duplicates | pushes of the same message to the same phone beyond the first. Where the scenario breaks connections to the providers, those after a lost answer are counted apart, in the column after the limit; elsewhere they are in both |
| answer lost | repetitions after an answer that never arrived: the provider took the push and the connection broke before it said so. To send again is the only way not to lose one. docs/decisions/chaos-bars.md says why they have a column |
| out of order | first attempts that a phone got before an earlier message of the same conversation and lane, of those compared |
| wrong badges | numbers that are neither what the phone last reported, plus the messages since, nor within what was under way; of those compared. After Redis lost its data nobody knows the numbers before |
| stale | pushes to a phone that had been in the foreground or logged out for more than 2 s, and that were let go when the fleet had to know it |
| late under way | pushes to such a phone that were let go before, and came late: the provider was slow, the connection broke, or the process stood still (SIGSTOP) |
| late presence | not pushed, because of where the phone had been more than 2 s before the message |
| unexpected | pushes that nobody produced, or to a phone of somebody else |
| wrong ends | dead letters of good records, dropped tokens, expiry |

Presence is the one thing that may be lost with Redis: a phone that nobody knows anything of counts as killed, since a push
too many is better than a message unseen. Such pushes to phones in the foreground are not counted as stale.
`
