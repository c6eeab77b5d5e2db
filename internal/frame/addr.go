package frame

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// TCP is the scheme of addresses that take TLS over TCP. As text they have none.
const TCP = "tcp"

// Addr is one way to reach a node.
type Addr struct {
	Scheme string // "tcp", or the name of what carries TLS in its place
	Addr   string // for tcp the IP address and the port, as in "192.0.2.7:27272"
}

// ParseAddr parses an address as users write it: one of TCP as it is, any other as
// scheme://rest. It checks the grammar of the latter: a scheme of at most [SchemeMax] bytes
// of a-z, 0-9, + and -, and a rest of at most [AddrMax] without spaces, control characters,
// '?', '#' or '@': an address says where, and carries neither a question nor a secret.
func ParseAddr(text string) (Addr, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Addr{TCP, text}, nil
	}
	a := Addr{scheme, rest}
	switch {
	case scheme == "" || len(scheme) > SchemeMax || strings.ContainsFunc(scheme, notInScheme):
		return Addr{}, fmt.Errorf("frame: %q is no scheme: 1 to %d of a-z, 0-9, + and -", scheme, SchemeMax)
	case rest == "":
		return Addr{}, errors.New("frame: nothing behind the scheme")
	case len(rest) > AddrMax:
		return Addr{}, fmt.Errorf("frame: %d bytes behind the scheme, at most %d", len(rest), AddrMax)
	case !utf8.ValidString(rest) || strings.ContainsFunc(rest, notInAddr):
		return Addr{}, errors.New("frame: an address has no spaces, control characters, '?', '#' or '@'")
	}
	return a, nil
}

func notInScheme(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '-'
}

func notInAddr(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("?#@", r) }

// String returns what [ParseAddr] parses.
func (a Addr) String() string {
	if a.Scheme == TCP {
		return a.Addr
	}
	return a.Scheme + "://" + a.Addr
}

// Split returns the IP address and the port that a begins with, as in 10.0.0.1:80/path, and
// what follows them; ok is false if it does not begin so.
func (a Addr) Split() (ap netip.AddrPort, rest string, ok bool) {
	host := a.Addr
	if i := strings.IndexByte(host, '/'); i >= 0 {
		host, rest = host[:i], host[i:]
	}
	ap, err := netip.ParseAddrPort(host)
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), rest, err == nil
}

// IP returns the IP address that a begins with, with a port or without one as in 10.0.0.1/path;
// the zero value if it begins with none.
func (a Addr) IP() netip.Addr {
	if ap, _, ok := a.Split(); ok {
		return ap.Addr()
	}
	host, _, _ := strings.Cut(a.Addr, "/")
	ip, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	return ip.Unmap()
}

// IsLocal reports whether a means the host on which it is read: it has a path and no host, a
// loopback address, or a name that ends in localhost, as resolvers take it (RFC 6761).
func (a Addr) IsLocal() bool {
	if strings.HasPrefix(a.Addr, "/") {
		return true
	}
	if ip := a.IP(); ip.IsValid() {
		return ip.IsLoopback()
	}
	host, _, _ := strings.Cut(a.Addr, "/")
	host, _, _ = strings.Cut(host, ":")
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
