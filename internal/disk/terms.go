package disk

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/espial-go/espial/internal/council"
	"github.com/espial-go/espial/internal/ident"
)

const (
	// ElectionsMax is how many elections a file has room for: sixteen times those that a node
	// has open, because it forgets none that it had.
	ElectionsMax = 1024

	// bytesMax bounds what is read: more than so many elections take.
	bytesMax = 256 << 10

	head    = "espial terms "
	version = "1"
	tail    = "check "
)

// Encode returns the file of a cluster. It is text, a line each for the version, the cluster,
// each election by name, and a checksum (CRC-32C) over the lines before it:
//
//	espial terms 1
//	cluster "shop"
//	election "" term 42 leader 5f2c9a0b1c2d3e4f
//	election "billing" term 1795180914000
//	check 1a2b3c4d
//
// The names are quoted as in Go, leader is an incarnation and absent where it is 0.
func Encode(cluster string, marks map[string]council.Mark) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\ncluster %q\n", head, version, cluster)
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		m := marks[name]
		fmt.Fprintf(&b, "election %q term %d", name, m.Term)
		if m.Leader != 0 {
			fmt.Fprintf(&b, " leader %v", m.Leader)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s%08x\n", tail, checksum(b.Bytes()))
	return b.Bytes()
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Decode is the inverse of [Encode]: it accepts exactly what that returns. Errors are
// [ErrDamaged], and [ErrVersion] for a file that is whole.
func Decode(b []byte) (cluster string, marks map[string]council.Mark, err error) {
	end := max(bytes.LastIndex(b, []byte("\n"+tail)), 0) + 1
	if end > len(b) || string(b[end:]) != fmt.Sprintf("%s%08x\n", tail, checksum(b[:end])) {
		return "", nil, ErrDamaged
	}
	first, rest, _ := strings.Cut(string(b[:end]), "\n")
	if v, ours := strings.CutPrefix(first, head); ours && v != version {
		return "", nil, ErrVersion
	}
	marks = map[string]council.Mark{}
	for line := range strings.Lines(rest) {
		word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "cluster":
			cluster, err = strconv.Unquote(value)
		case "election":
			var name string
			var m council.Mark
			name, m, err = parseElection(value)
			marks[name] = m
		}
		if err != nil {
			return "", nil, ErrDamaged
		}
	}
	// There is one text for each meaning: what is more, less or otherwise shows here.
	if len(marks) > ElectionsMax || !bytes.Equal(Encode(cluster, marks), b) {
		return "", nil, ErrDamaged
	}
	return cluster, marks, nil
}

// parseElection reads what follows the word election.
func parseElection(s string) (name string, m council.Mark, err error) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", m, err
	}
	if name, err = strconv.Unquote(quoted); err != nil {
		return "", m, err
	}
	words := strings.Fields(s[len(quoted):])
	if len(words) < 2 {
		return "", m, ErrDamaged
	}
	term, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return "", m, err
	}
	m.Term = ident.Term(term)
	if len(words) > 3 {
		var leader uint64
		leader, err = strconv.ParseUint(words[3], 16, 64)
		m.Leader = ident.Incarnation(leader)
	}
	return name, m, err
}
