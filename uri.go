package espial

import (
	"errors"
	"fmt"
	"strings"

	"github.com/espial-go/espial/internal/glob"
)

// uriScheme begins every [URI].
const uriScheme = "espial://"

// URI names a method, or a service, at members of a cluster as text: espial://cluster/peer/method.
// The peer is a node name, a pattern in which * stands for any number of characters and ? for one, or
// an ID, as [Named] takes it. It has no query and no escapes.
type URI struct {
	Cluster string // its name
	Peer    string // which of its members
	Method  string // what they serve
}

// ErrOtherCluster reports a [URI] of another cluster than that of the node.
var ErrOtherCluster = errors.New("espial: the URI is of another cluster")

// ParseURI reads a [URI]. The error is a [TargetError].
func ParseURI(s string) (URI, error) {
	rest, ok := strings.CutPrefix(s, uriScheme)
	parts := strings.Split(rest, "/")
	switch {
	case !ok || len(parts) != 3: //nolint:mnd // cluster, peer, method
		return URI{}, &TargetError{s, "is no URI of the form espial://cluster/peer/method"}
	case glob.CheckName(parts[0]) != nil:
		return URI{}, &TargetError{s, "names no cluster: one DNS label, of a-z, 0-9, - and _"}
	case glob.CheckNames(parts[1]) != nil:
		return URI{}, &TargetError{s, "names no peer: at most 63 of a-z, 0-9, -, _, * and ?"}
	}
	if err, bad := errors.AsType[*MethodError](checkMethod(parts[2])); bad {
		return URI{}, &TargetError{s, "names no method: " + err.Reason}
	}
	return URI{Cluster: parts[0], Peer: parts[1], Method: parts[2]}, nil
}

// String returns the URI as [ParseURI] reads it.
func (u URI) String() string {
	return fmt.Sprintf("%s%s/%s/%s", uriScheme, u.Cluster, u.Peer, u.Method)
}

// MarshalText returns what String does.
func (u URI) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText sets u to what [ParseURI] reads.
func (u *URI) UnmarshalText(text []byte) (err error) {
	*u, err = ParseURI(string(text))
	return err
}

// Target returns the members that the URI names, for [Node.Call] and [Node.Gather] at n:
//
//	to, err := u.Target(n)
//	result, err := n.Call(ctx, u.Method, to, data)
//
// The error is [ErrOtherCluster], or a [TargetError] for a URI that ParseURI would not read.
func (u URI) Target(n *Node) (Target, error) {
	if _, err := ParseURI(u.String()); err != nil {
		return Target{}, err
	}
	if u.Cluster != n.Cluster() {
		return Target{}, fmt.Errorf("%w: %v, and the node is in %q", ErrOtherCluster, u, n.Cluster())
	}
	return Named(u.Peer), nil
}
