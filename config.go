package espial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/espial-go/espial/codec"
	"github.com/espial-go/espial/internal/core"
	"github.com/espial-go/espial/internal/frame"
	"github.com/espial-go/espial/internal/glob"
	"github.com/espial-go/espial/internal/multicast"
	"github.com/espial-go/espial/internal/session"
)

// Config holds the settings of a [Node]. The zero value of every field but
// Cluster means its default, so a literal names only what differs. [Start] copies
// the Config; later changes have no effect.
type Config struct {
	// Cluster names the cluster to join; nodes of other clusters are ignored.
	// One DNS label: 1 to 63 of a-z, 0-9, '-' and '_', first and last a letter or
	// digit. Required.
	Cluster string

	// Name is what this node is called, one DNS label. Several nodes may share a
	// name. Default: the first label of the host's name, lower-cased.
	Name string

	// Listen is the address for links: IP:port for TCP, scheme://rest for what Transport
	// carries. Default: port 27272 on every address, IPv4 and IPv6, or a free port if 27272 is
	// taken. A given port that is taken is an error; port 0 asks for a free one.
	Listen string

	// Advertise is the address that others are told, as an IP with or without a
	// port, an interface, or a subnet (CIDR) of which this host has an address, or
	// scheme://rest. Default: the address of Listen, or every suitable one if that is a wildcard.
	Advertise string

	// Seeds are addresses (host:port, or scheme://rest) to try for the life of the node, at
	// least one of them every second. At most 256.
	Seeds []string

	// Transport carries links and streams in place of TCP. A node that listens at an address
	// with a scheme takes no part in multicast, whose beacons name IP:port. Default: TCP.
	Transport Transport

	// Multicast sets how nodes find each other on a network segment.
	Multicast Multicast

	// KeyFile holds the node's private key, Ed25519 or P-256 as PEM (PKCS #8), with
	// file mode 0600 or stricter. One running node at a time may use it: two take each
	// other for themselves and never meet. Default: a new key at each start.
	KeyFile string

	// StateDir is a folder in which the node keeps the terms of its elections, so that tokens
	// go on growing when all nodes stop and start again. Each node has one of its own; it is
	// made, with mode 0700, unless it exists. One that is in use, damaged, of another
	// cluster or cannot be written is an error of Start. If it cannot be written later,
	// [DiskDown] says so, and within an hour the node stops voting in elections with
	// [Quorum] and [Voters]. Default: nothing is kept.
	StateDir string

	// Metadata is told to every member, at most 256 pairs and 16 KiB in all;
	// [Node.SetMetadata] changes it. Whoever answers an address that this node dials
	// sees it too, before anybody is admitted: keep secrets out of it.
	Metadata map[string]string

	// Ineligible keeps the node from ever being leader.
	Ineligible bool

	// Election is the mode of the default election, the same at all nodes. Default
	// [Available].
	Election Mode

	// Admit decides whether a node may join: nil admits, an error refuses, and its
	// text reaches the other side. It is called on a goroutine of its own, for
	// each new link, and has 2 s; a panic or a later answer refuses. A cluster is as
	// closed as its most lenient member. Default: everybody is admitted.
	Admit func(ctx context.Context, v Verified, c Claimed) error

	// RequireAES refuses links whose cipher is not TLS_AES_128_GCM_SHA256, which is
	// what two CPUs with AES instructions agree on.
	RequireAES bool

	// SuspectAfter is how long a silent member stays unsuspected. Default 1 s, at
	// least 100 ms. It is also twice the time between probes.
	SuspectAfter time.Duration

	// RemoveAfter is how long a silent member stays a member. Default three times
	// SuspectAfter; at least twice.
	RemoveAfter time.Duration

	// MaxPeers is how many links the node keeps at most, 2 to 1024. A cluster with more members
	// than that, or with more than 64, is a partial mesh: nodes keep links with some, and the
	// others are reached by way of those. Links for direct events and calls are not counted.
	// Default 0: no limit but 1024.
	MaxPeers int

	// MinPeers is how many links the node looks for in a partial mesh, where its place there
	// gives it fewer. Default 3, or MaxPeers if that is less; at most MaxPeers.
	MinPeers int

	// EventMax bounds the payload of one event, in bytes. Default 1 MiB, at most
	// 64 MiB. It holds for what this node sends and for what it accepts.
	EventMax int

	// Codecs are those that every typed topic of this node can decode, besides its own,
	// JSON and raw bytes. They serve readers of events that others publish in another
	// codec than the topic's, as while a cluster changes from one to another.
	Codecs []codec.Codec

	// WrapCall and WrapServe wrap what this node calls and what it serves, to log, count, trace or
	// refuse: each function returns a handler that may call next, and the first one is the
	// outermost. That of WrapCall is called with what the caller encoded, and returns what the
	// caller will decode.
	WrapCall, WrapServe []func(next Handler) Handler

	// StreamChanges has [Node.Changes] report each stream: [StreamOpened], [StreamClosed] and
	// [StreamTimeout], at both ends. Default off: there may be thousands a second.
	StreamChanges bool

	// Wrap wraps every stream that this node dials or accepts, to count, slow down, compress or
	// refuse it, by functions that return what is to be used in place of nc; an error resets the
	// stream. The first one is nearest the network: what it returns is the next one's nc. They
	// may read and write, so that those of the two ends talk to each other first. Those of one
	// stream have 5 s; a panic or more time resets it. What wraps nc should have its CloseWrite.
	// Package wrap has functions for this list.
	Wrap []func(nc net.Conn, s StreamInfo) (net.Conn, error)

	// Control opens the control socket by which the espial command reaches this
	// node: a Unix socket of mode 0600 in $XDG_RUNTIME_DIR/espial or, where that is not
	// possible, in espial-UID in the folder for temporary files. The command looks into
	// both. Failing to create it is a warning in the log.
	Control bool

	// Logger receives operational messages. Default: discard.
	Logger *slog.Logger
}

// Multicast holds the settings of discovery by multicast. Multicast beacons are
// only a hint where a node may be: they carry no secret and no name.
type Multicast struct {
	// Off disables multicast. Then Seeds must name somebody, or others must know
	// this node.
	Off bool

	// Group is the IPv4 group and port. Default 239.255.77.82:27272 (a group of
	// the administratively scoped block, RFC 2365).
	Group string

	// Interface limits multicast to one network interface. Default: every suitable
	// one, loopback included.
	Interface string

	// NoLoopback hides the beacons from other nodes on the same host.
	NoLoopback bool

	// TTL is how many routers a beacon passes, 1 to 255. Default 1: none.
	TTL int
}

// Limits of [Config].
const (
	seedsMax        = 256
	suspectAfterMin = 100 * time.Millisecond
	defaultPort     = 27272
	peersMax        = core.PeersMax
)

// withDefaults returns a copy with every zero field set, or a [ConfigError] that
// names the first field out of range.
func (c Config) withDefaults(hostname string) (Config, error) {
	c.Metadata = maps.Clone(c.Metadata)
	c.Listen, c.Seeds = strings.TrimPrefix(c.Listen, untold), slices.Clone(c.Seeds)
	for i, s := range c.Seeds {
		c.Seeds[i] = strings.TrimPrefix(s, untold)
	}
	c.Codecs = slices.Clone(c.Codecs)
	c.WrapCall, c.WrapServe = slices.Clone(c.WrapCall), slices.Clone(c.WrapServe)
	c.Wrap = slices.Clone(c.Wrap)
	if c.Name == "" {
		c.Name = glob.HostName(hostname)
	}
	if c.Multicast.Group == "" {
		c.Multicast.Group = multicast.GroupDefault
	}
	if c.Multicast.TTL == 0 {
		c.Multicast.TTL = 1
	}
	if c.SuspectAfter == 0 {
		c.SuspectAfter = time.Second
	}
	if c.RemoveAfter == 0 {
		c.RemoveAfter = 3 * c.SuspectAfter
	}
	if c.MinPeers == 0 {
		c.MinPeers = core.MinPeersDefault
		if c.MaxPeers > 0 {
			c.MinPeers = min(c.MinPeers, c.MaxPeers)
		}
	}
	if c.EventMax == 0 {
		c.EventMax = session.EventMaxDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.check(); err != nil {
		return c, err
	}
	c.Codecs = append(c.Codecs, &jsonCodec{}) // behind one that the user has for JSON
	return c, nil
}

// check returns a [ConfigError] for the first field out of range.
func (c Config) check() error {
	if c.Cluster == "" {
		return &ConfigError{Field: "Cluster", Reason: "is required"}
	}
	if err := glob.CheckName(c.Cluster); err != nil {
		return unusable("Cluster", err)
	}
	if err := glob.CheckName(c.Name); err != nil {
		return unusable("Name", err)
	}
	switch {
	case len(c.Seeds) > seedsMax:
		return outOfRange("Seeds", "has %d addresses, at most %d", len(c.Seeds), seedsMax)
	case c.SuspectAfter < suspectAfterMin:
		return outOfRange("SuspectAfter", "is %v, must be at least %v", c.SuspectAfter, suspectAfterMin)
	case c.RemoveAfter < 2*c.SuspectAfter:
		return outOfRange("RemoveAfter", "is %v, must be at least twice SuspectAfter", c.RemoveAfter)
	case c.EventMax < 1 || c.EventMax > session.EventMaxMost:
		return outOfRange("EventMax", "is %d, must be between 1 and %d bytes",
			c.EventMax, session.EventMaxMost)
	}
	if err := c.checkPeers(); err != nil {
		return err
	}
	if err := c.Multicast.check(); err != nil {
		return err
	}
	if err := c.checkTransport(); err != nil {
		return err
	}
	if err := checkCodecs(c.Codecs); err != nil {
		return err
	}
	for _, f := range c.Wrap {
		if f == nil {
			return outOfRange("Wrap", "has a function that is nil")
		}
	}
	return checkMetadata(c.Metadata)
}

// checkPeers holds the limits of the number of links.
func (c Config) checkPeers() error {
	most := c.MaxPeers
	if most == 0 {
		most = peersMax
	}
	switch {
	case c.MaxPeers == 1:
		return outOfRange("MaxPeers", "is 1, must be at least 2: a node with one link connects nobody")
	case c.MaxPeers < 0 || c.MaxPeers > peersMax:
		return outOfRange("MaxPeers", "is %d, must be between 2 and %d, or 0 for no limit",
			c.MaxPeers, peersMax)
	case c.MinPeers < 0 || c.MinPeers > most:
		return outOfRange("MinPeers", "is %d, must be between 1 and %d (MaxPeers)", c.MinPeers, most)
	}
	return nil
}

func (m Multicast) check() error {
	group, err := netip.ParseAddrPort(m.Group)
	if err != nil || !group.Addr().Is4() || !group.Addr().IsMulticast() || group.Port() == 0 {
		return outOfRange("Multicast.Group", "%q is not an IPv4 multicast group with a port", m.Group)
	}
	if m.TTL < 1 || m.TTL > 255 {
		return outOfRange("Multicast.TTL", "is %d, must be between 1 and 255", m.TTL)
	}
	return nil
}

func outOfRange(field, format string, args ...any) error {
	return &ConfigError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// unusable returns a [ConfigError] with the words of an error from inside.
func unusable(field string, err error) error {
	return &ConfigError{Field: field, Reason: words(err), Err: err}
}

// checkAddr refuses what is no host:port, so that a slip of the pen is not taken for a node
// that is down.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if host == "" {
		return errors.New("no host")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("no port between 1 and 65535")
	}
	return nil
}

// checkMetadata holds the limits of metadata.
func checkMetadata(meta map[string]string) error {
	_, unnamed := meta[""]
	switch size := frame.MetaSize(meta); {
	case unnamed:
		return &ConfigError{Field: "Metadata", Reason: "has an empty key"}
	case len(meta) > frame.MetaPairsMax:
		return outOfRange("Metadata", "has %d pairs, at most %d", len(meta), frame.MetaPairsMax)
	case size > frame.MetaMax:
		return outOfRange("Metadata", "has %d bytes, at most %d", size, frame.MetaMax)
	}
	return nil
}
