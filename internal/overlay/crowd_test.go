package overlay_test

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/espial-go/espial/internal/overlay"
)

// crowd returns n members on four rings with IDs that look random and are always the
// same.
func crowd(n int) []overlay.Member {
	r := rand.New(rand.NewPCG(uint64(n), 0))
	all := make([]overlay.Member, n)
	for i := range all {
		for w := range 4 {
			binary.BigEndian.PutUint64(all[i].ID[8*w:], r.Uint64())
		}
		all[i].Rings = overlay.RingsMax
	}
	return all
}

// size names a benchmark.
func size(n int) string { return strconv.Itoa(n) + " members" }
