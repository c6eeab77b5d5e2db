package dial

import (
	"net/netip"
	"strconv"
	"strings"
)

// addrLenMax is the length of the longest address, in bytes: a DNS name of 253, a
// colon and a port of 5 digits.
const addrLenMax = 259

// parse returns the canonical form of a host:port address, so that one place has one
// name, and whether it is on this host. It refuses what cannot be one node's address.
// A host name passes only if named is set.
//
// An address scheme://rest stays as it is, and may have a host name whoever gave it: what
// becomes of that is the transport's business, which the user chose.
func parse(addr string, named bool) (canonical string, local, ok bool) {
	if scheme, rest, other := strings.Cut(addr, "://"); other {
		local, ok = parseOther(scheme, rest)
		return addr, local, ok && len(addr) <= addrLenMax
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		// ::ffff:192.0.2.1 and 192.0.2.1 are one place.
		a := ap.Addr().Unmap()
		broadcast := a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
		if ap.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || broadcast {
			return "", false, false
		}
		return netip.AddrPortFrom(a, ap.Port()).String(), a.IsLoopback(), true
	}
	i := strings.LastIndexByte(addr, ':')
	if !named || i <= 0 || len(addr) > addrLenMax || strings.ContainsAny(addr[:i], ":[]/ ") {
		return "", false, false
	}
	if port, err := strconv.ParseUint(addr[i+1:], 10, 16); err != nil || port == 0 {
		return "", false, false
	}
	host := strings.ToLower(addr[:i])
	return host + addr[i:], host == "localhost", true
}

// parseOther is parse for an address with a scheme.
func parseOther(scheme, rest string) (local, ok bool) {
	host, _, _ := strings.Cut(rest, "/")
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = netip.AddrPortFrom(ip, 1).String() // the port is the transport's
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		_, local, ok = parse(host, false)
		return local, ok
	}
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	return name == "" || name == "localhost", scheme != "" && rest != ""
}
