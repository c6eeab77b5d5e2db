package ident_test

import (
	"slices"
	"testing"

	"github.com/espial-go/espial/internal/ident"
)

func TestMembersWithoutAJoinNumberAreTheYoungest(t *testing.T) {
	got := []uint64{0, 1<<53 + 1, 2, 0, 1, 1 << 53}
	slices.SortFunc(got, ident.CompareJoins)
	if want := []uint64{1, 2, 1 << 53, 1<<53 + 1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("by age: %v, want %v", got, want)
	}
}
