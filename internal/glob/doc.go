// Package glob is the grammar of names and topics, and the one matcher for both.
//
// A name (of a node, cluster, service or election) is one DNS label in lower case
// that may contain underscores: "web-1". A topic or method is 1 to 8 words joined by
// dots: "orders.eu.placed". A pattern is a topic in which a word may be "*", which
// stands for exactly one word, and the last word may be ">", which stands for one or
// more words:
//
//	orders.*      matches  orders.placed                   not  orders.eu.placed
//	orders.>      matches  orders.placed, orders.eu.placed not  orders
//	>             matches  everything
//
// A name is a topic of one word, so the same patterns choose nodes: "*" is every
// name. Wildcards stand for whole words only; "web-*" is refused.
//
// The shortest use:
//
//	if err := glob.CheckPattern(p); err != nil {
//		return err // glob: pattern "orders..": word 2 is empty
//	}
//	key := index.Add(p, value)
//	values = index.Match(values[:0], topic) // of all patterns that match
//
// The package is pure: no goroutine, lock, clock or socket. Its functions may be
// called by several goroutines; an [Index] is guarded by its owner.
package glob
