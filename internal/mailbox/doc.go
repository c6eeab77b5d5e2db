// Package mailbox holds the subscriptions of a node and the bounded queues between the
// readers of links, which never wait, and the readers of subscriptions, which may be
// slow.
//
//	q, err := box.Subscribe("orders.>", mailbox.Options{})
//	defer q.Close()
//	box.Deliver(&route, topic, run, pair) // by the reader of a link: never waits
//	batch, err := q.Next(ctx)             // by the subscriber: waits for something
//
// What crosses from one goroutine to the other is a [Run] of messages, never a single
// one, and a reader takes all that waits in one go: handing over each message alone
// would cost as much as encrypting it.
//
// Each queue holds the messages of each lane, broadcasts and direct ones, up to a
// limit of its own. What happens beyond it is the subscription's [Policy]: withhold the
// acknowledgement until the reader has caught up, so that the sender waits; drop the
// oldest and count them; or end the subscription. In no case does Deliver wait.
//
// The order of one sender's messages in a lane is kept, and a loss is told before the
// messages that follow it. There is no order between senders or lanes.
//
// A [Box] may be used by any number of goroutines; a [Queue] has one reader, and any
// goroutine may close it. Locks are held for a few lines and never while a caller's
// code runs.
package mailbox
