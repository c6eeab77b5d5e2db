package ident

import "cmp"

// CompareJoins returns -1, 0 or +1 as a member with the join number a is older than, as old
// as or younger than one with b. Who has no number yet, which is 0, is the youngest.
func CompareJoins(a, b uint64) int {
	return cmp.Compare(a-1, b-1) // 0 wraps to the end
}
