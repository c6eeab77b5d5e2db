package member

import "container/list"

// shelf is a map of bounded size that forgets what was put there first.
type shelf[K comparable, V any] struct {
	max   int
	items map[K]*list.Element
	order *list.List // of item[K, V], oldest first
}

type item[K comparable, V any] struct {
	key   K
	value V
}

func newShelf[K comparable, V any](maxLen int) *shelf[K, V] {
	return &shelf[K, V]{max: maxLen, items: map[K]*list.Element{}, order: list.New()}
}

// put stores v under k. A key that is there keeps its age. If that was one too many, put
// returns the key that was forgotten.
func (s *shelf[K, V]) put(k K, v V) (forgotten K, full bool) {
	if e, ok := s.items[k]; ok {
		e.Value = item[K, V]{k, v}
		return forgotten, false
	}
	s.items[k] = s.order.PushBack(item[K, V]{k, v})
	if len(s.items) <= s.max {
		return forgotten, false
	}
	forgotten = s.order.Front().Value.(item[K, V]).key //nolint:errcheck,forcetypeassert // put is the only writer
	s.take(forgotten)
	return forgotten, true
}

func (s *shelf[K, V]) get(k K) (V, bool) {
	e, ok := s.items[k]
	if !ok {
		var none V
		return none, false
	}
	return e.Value.(item[K, V]).value, true //nolint:errcheck,forcetypeassert // put is the only writer
}

// take removes k and returns what was there.
func (s *shelf[K, V]) take(k K) (V, bool) {
	v, ok := s.get(k)
	if ok {
		s.order.Remove(s.items[k])
		delete(s.items, k)
	}
	return v, ok
}

// all calls yield for each pair, oldest first.
func (s *shelf[K, V]) all(yield func(K, V) bool) {
	for e := s.order.Front(); e != nil; e = e.Next() {
		if it := e.Value.(item[K, V]); !yield(it.key, it.value) { //nolint:errcheck,forcetypeassert // as above
			return
		}
	}
}
