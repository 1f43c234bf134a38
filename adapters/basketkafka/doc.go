// Package basketkafka follows orders in a topic of Kafka, and keeps the newest
// feature row of each user in a store, from which predictions are served.
//
// The events are JSON as [EventSchema] describes; the key of a record is the user
// ID. A [Feed] adds each order to its user's [basket.History] and puts the user's row
// into a [Sink] as soon as it changes. The rules of the features are those of package
// basket, so the rows are, bit by bit, those that a [basket.Materializer] computes
// from the same orders, whose order of arrival is that of the sequence.
//
// # Runs
//
// Regulars and inventory are a [Snapshot], fixed for a run: orders are counted with
// them once, when they arrive. The run has a name that follows from the snapshot and the group,
// and a consumer group and a changelog topic of that name. Another snapshot is another
// run, which reads the topic from its start again; rows that are newer in the store
// stay until it has come as far. So the topic must keep all orders that are to count:
// retention.ms=-1. Stop the feeds of the old run first, and delete its changelog topic
// when the new run has caught up.
//
// # Delivery
//
// A feed reads a batch, puts its rows into the sink, writes its orders to the
// changelog, and then commits. A process that is killed at any point reads some
// events again; the changelog tells them by their sequence. So each order is counted
// once, however often it is sent or read. The changelog topic is compacted and has a
// record for each order, of some 30 bytes besides the user ID; a feed that gets a
// partition reads the partition of the same number there first.
//
// Feeds of one run share the partitions, and take over those of a feed that ends. A
// process that stands still for longer than the session timeout, 10 seconds, in the
// middle of a write to the sink may write an older row after its successor; the next
// order of that user mends it.
//
// # Events that cannot be used
//
// An event that cannot be read or applied goes to the dead-letter topic, with the
// reason, and is counted: see [Feed]. The others flow on. So do late events, of an
// event time before that of the user's newest order: they are put where they belong,
// and the row is computed again.
package basketkafka
