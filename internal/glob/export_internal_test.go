package glob

// Len returns the number of values.
func (x *Index[V]) Len() int {
	n := x.root.len()
	for _, list := range x.exact {
		n += len(list)
	}
	return n
}

func (b *branch[V]) len() int {
	n := len(b.here) + len(b.rest)
	for _, next := range b.words {
		n += next.len()
	}
	return n
}
