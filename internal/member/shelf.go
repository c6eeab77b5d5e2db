package member

import "slices"

// shelf is a map of bounded size that forgets what was put there first.
type shelf[K comparable, V any] struct {
	max    int
	values map[K]V
	order  []K // oldest first
}

func newShelf[K comparable, V any](maxLen int) *shelf[K, V] {
	return &shelf[K, V]{max: maxLen, values: map[K]V{}}
}

// put stores v under k. A key that is there keeps its age. If that was one too many, put
// returns the key that was forgotten.
func (s *shelf[K, V]) put(k K, v V) (forgotten K, full bool) {
	if _, ok := s.values[k]; !ok {
		s.order = append(s.order, k)
	}
	s.values[k] = v
	if len(s.order) <= s.max {
		return forgotten, false
	}
	forgotten = s.order[0]
	s.order = s.order[1:] // the next append that needs room leaves the front behind
	delete(s.values, forgotten)
	return forgotten, true
}

func (s *shelf[K, V]) get(k K) (V, bool) {
	v, ok := s.values[k]
	return v, ok
}

// take removes k and returns what was there. It looks at every key: takes are as rare as
// members that come back.
func (s *shelf[K, V]) take(k K) (V, bool) {
	v, ok := s.values[k]
	if ok {
		i := slices.Index(s.order, k)
		s.order = slices.Delete(s.order, i, i+1)
		delete(s.values, k)
	}
	return v, ok
}

// all calls yield for each pair, oldest first.
func (s *shelf[K, V]) all(yield func(K, V) bool) {
	for _, k := range s.order {
		if !yield(k, s.values[k]) {
			return
		}
	}
}
