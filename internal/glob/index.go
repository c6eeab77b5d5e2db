package glob

import (
	"cmp"
	"slices"
	"strings"
)

// The wildcards.
const (
	one  = "*" // exactly one word
	rest = ">" // one or more words, at the end
)

// Index holds values under patterns and finds those whose pattern matches a topic.
// The zero Index is empty and ready for use.
//
// A pattern without wildcards is found by one map lookup, however many there are; the
// others form a tree by word, of which a topic visits at most two branches a word. An
// Index has no lock: Match may run together with Match, and with nothing else.
type Index[V any] struct {
	added uint64                // values ever added; the number of the latest
	exact map[string][]entry[V] // patterns without wildcards
	root  branch[V]             // patterns with wildcards
}

// Key names one value of an [Index], so that it can be removed. The zero Key names
// none.
type Key struct {
	pattern string
	number  uint64 // from 1 on, in the order of Add
}

// entry is a value and its place in the order of Add.
type entry[V any] struct {
	number uint64
	value  V
}

// branch is the part of the tree below some words. Lists are sorted by number,
// because Add only appends.
type branch[V any] struct {
	words map[string]*branch[V] // the branch for the next word, one for all under "*"
	here  []entry[V]            // patterns that end here
	rest  []entry[V]            // patterns that end here with ">"
}

// Add puts v under a pattern, which the caller has checked with [CheckPattern], and
// returns the key for [Index.Remove]. Equal patterns and equal values may repeat.
func (x *Index[V]) Add(pattern string, v V) Key {
	x.added++
	e := entry[V]{x.added, v}
	if literal(pattern) {
		if x.exact == nil {
			x.exact = make(map[string][]entry[V])
		}
		x.exact[pattern] = append(x.exact[pattern], e)
	} else {
		x.root.add(pattern, e)
	}
	return Key{pattern, x.added}
}

// Remove takes out what Add returned k for and reports whether it was there.
func (x *Index[V]) Remove(k Key) bool {
	if !literal(k.pattern) {
		return x.root.remove(k.pattern, k.number)
	}
	list, found := without(x.exact[k.pattern], k.number)
	if len(list) > 0 {
		x.exact[k.pattern] = list
	} else {
		delete(x.exact, k.pattern)
	}
	return found
}

// literal reports whether pattern has no wildcard, and so matches itself only.
func literal(pattern string) bool { return !strings.ContainsAny(pattern, one+rest) }

// Match appends to dst the values whose pattern matches topic, in the order in which
// they were added, and returns the longer slice. The caller has checked topic with
// [CheckTopic]. Match allocates nothing if dst has room and the values came from at
// most 16 different patterns.
func (x *Index[V]) Match(dst []V, topic string) []V {
	var room [16][]entry[V]
	lists := room[:0]
	if list := x.exact[topic]; len(list) > 0 {
		lists = append(lists, list)
	}
	return merge(dst, x.root.match(lists, topic))
}

func (b *branch[V]) add(pattern string, e entry[V]) {
	word, tail, more := strings.Cut(pattern, ".")
	if word == rest {
		b.rest = append(b.rest, e)
		return
	}
	next := b.words[word]
	if next == nil {
		if b.words == nil {
			b.words = make(map[string]*branch[V])
		}
		next = &branch[V]{}
		b.words[word] = next
	}
	if more {
		next.add(tail, e)
	} else {
		next.here = append(next.here, e)
	}
}

// remove also cuts off the branches that it leaves empty.
func (b *branch[V]) remove(pattern string, number uint64) (found bool) {
	word, tail, more := strings.Cut(pattern, ".")
	if word == rest {
		b.rest, found = without(b.rest, number)
		return found
	}
	next := b.words[word]
	switch {
	case next == nil:
		return false
	case more:
		found = next.remove(tail, number)
	default:
		next.here, found = without(next.here, number)
	}
	if len(next.here) == 0 && len(next.rest) == 0 && len(next.words) == 0 {
		delete(b.words, word)
	}
	return found
}

// match appends the lists of the patterns that match topic below b. None is empty.
func (b *branch[V]) match(lists [][]entry[V], topic string) [][]entry[V] {
	if len(b.rest) > 0 {
		lists = append(lists, b.rest)
	}
	if len(b.words) == 0 {
		return lists
	}
	word, tail, more := strings.Cut(topic, ".")
	for _, next := range [2]*branch[V]{b.words[word], b.words[one]} {
		switch {
		case next == nil:
		case more:
			lists = next.match(lists, tail)
		case len(next.here) > 0:
			lists = append(lists, next.here)
		}
	}
	return lists
}

// without returns list without the entry of that number, and whether it was there.
// An emptied list gives its memory back.
func without[V any](list []entry[V], number uint64) ([]entry[V], bool) {
	at, found := slices.BinarySearchFunc(list, number, func(e entry[V], n uint64) int {
		return cmp.Compare(e.number, n)
	})
	if !found {
		return list, false
	}
	if len(list) == 1 {
		return nil, true
	}
	return slices.Delete(list, at, at+1), true
}

// merge appends the values of sorted, non-empty lists to dst in the order of their
// numbers. The lists are kept as a heap by their first number, so that n values from
// k lists cost n log k steps. It overwrites lists, not what they contain.
func merge[V any](dst []V, lists [][]entry[V]) []V {
	for i := len(lists)/2 - 1; i >= 0; i-- {
		sink(lists, i)
	}
	for len(lists) > 1 {
		first := lists[0]
		dst = append(dst, first[0].value)
		if lists[0] = first[1:]; len(lists[0]) == 0 {
			lists[0] = lists[len(lists)-1]
			lists = lists[:len(lists)-1]
		}
		sink(lists, 0)
	}
	for _, list := range lists {
		for i := range list {
			dst = append(dst, list[i].value)
		}
	}
	return dst
}

// sink restores the heap below i.
func sink[V any](lists [][]entry[V], i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(lists); child++ {
			if lists[child][0].number < lists[least][0].number {
				least = child
			}
		}
		if least == i {
			return
		}
		lists[i], lists[least] = lists[least], lists[i]
		i = least
	}
}
