package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/espial-go/espial"
)

// noneEmpty refuses a flag that was given nothing: in a script that is a variable that was
// not set, and to go on as if the flag had not been given could let anybody join.
func noneEmpty(fs *pflag.FlagSet) error {
	var err error
	fs.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && err == nil {
			err = usagef("--%s: is empty; leave the flag out, or give it a value", f.Name)
		}
	})
	return err
}

// fromEnvironment sets every flag of cmd that was not given from its environment
// variable: ESPIAL_KEY_FILE for --key-file. An empty variable counts as none.
func fromEnvironment(cmd *cobra.Command, getenv func(string) string) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "ESPIAL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if f.Changed || value == "" || f.Name == "help" || err != nil {
			return
		}
		if cmd.Flags().Set(f.Name, value) != nil {
			err = usagef("%s: %q %s", name, value, unfit(f.Value.Type()))
		}
	})
	return err
}

// jsonFlag adds --json, which every command has.
func jsonFlag(cmd *cobra.Command, what string) *bool {
	return cmd.Flags().Bool("json", false, "print "+what)
}

// nodeFlags are the flags of commands that start a node.
type nodeFlags struct {
	cluster, name              string
	listen, advertise, keyFile string
	join, discover, meta       []string
	minPeers, maxPeers         int
	ineligible                 bool
	quorum                     int
	stateDir                   string
	admit                      string
	streamChanges              bool
	group, iface               string
	loopback                   bool
	ttl                        int

	given func(flag string) bool // whether the user gave a flag
}

// network adds the flags by which a node reaches others.
func (f *nodeFlags) network(fs *pflag.FlagSet) {
	fs.StringVar(&f.listen, "listen", "",
		"take links at `ADDR`: IP:PORT, unix:///PATH or ws://IP:PORT/PATH\n"+
			"(default port 27272 on every address, a free port if taken)")
	fs.StringVar(&f.advertise, "advertise", "", "tell others this `ADDR`, interface or subnet of this host")
	fs.StringSliceVar(&f.join, "join", nil,
		"try `ADDR` as well: HOST:PORT, unix:///PATH,\n"+
			"ws://HOST:PORT/PATH or wss://…; repeatable, or with commas")
	fs.StringSliceVar(&f.discover, "discover", []string{"multicast"},
		"find others by this `SOURCE`: multicast or none; repeatable\n"+
			"(none where --listen is no IP:PORT)")
	f.given = func(flag string) bool { return fs.Changed(flag) }
	fs.StringVar(&f.keyFile, "key-file", "",
		"the node's identity: a private key as PEM in `FILE` of mode 0600, from\n"+
			"openssl genpkey -algorithm ed25519 (default a new key at each start)")
	fs.IntVar(&f.maxPeers, "max-peers", 0,
		"keep links with `N` members at most, 2 or more; others are\n"+
			"reached by way of those (default no limit)")
	fs.IntVar(&f.minPeers, "min-peers", 0,
		"look for `N` links where not every member has one with every other (default 3)")
	fs.StringVar(&f.group, "multicast-group", "", "multicast `GROUP:PORT` (default 239.255.77.82:27272)")
	fs.StringVar(&f.iface, "multicast-interface", "",
		"multicast on this `INTERFACE` only (default every suitable one)")
	fs.BoolVar(&f.loopback, "multicast-loopback", true, "let nodes on this host hear the beacons")
	fs.IntVar(&f.ttl, "multicast-ttl", 1, "`ROUTERS` that a beacon may pass, 1 to 255")
}

// identity adds the flags by which a node presents itself and judges others.
func (f *nodeFlags) identity(fs *pflag.FlagSet) {
	fs.StringVar(&f.name, "name", "", "`NAME` of the node (default the host's name)")
	fs.StringSliceVar(&f.meta, "meta", nil, "tell every member `KEY=VALUE`; repeatable, or with commas")
	fs.BoolVar(&f.ineligible, "ineligible", false, "never lead")
	fs.IntVar(&f.quorum, "quorum", 0,
		"elect a leader only with a majority of `N` nodes, at most one at any instant")
	fs.StringVar(&f.stateDir, "state-dir", "",
		"keep the terms of elections in `DIR`, a folder of this node alone, so that tokens\n"+
			"grow when all nodes stop and start again (default nothing is kept)")
	fs.StringVar(&f.admit, "admit", "",
		"let sh -c `COMMAND` decide who may join: exit 0 admits, the last line says why")
	fs.BoolVar(&f.streamChanges, "stream-changes", false, "report each stream among the changes")
}

// quorumMax is the largest electorate that espial.Quorum takes.
const quorumMax = 1024

// config returns the settings that the flags make. Warnings of the node go to warnings.
func (f *nodeFlags) config(warnings io.Writer) (espial.Config, error) {
	multicast := slices.Contains(f.discover, "multicast")
	for _, d := range f.discover {
		switch {
		case d != "multicast" && d != "none":
			return espial.Config{}, usagef("--discover %q: this version knows multicast and none", d)
		case d == "none" && multicast:
			return espial.Config{}, usagef("--discover cannot be both multicast and none")
		}
	}
	if f.ttl < 1 { // 0 is the default in the library
		return espial.Config{}, usagef("--multicast-ttl: is %d, must be between 1 and 255", f.ttl)
	}
	metadata, err := pairs(f.meta)
	if err != nil {
		return espial.Config{}, err
	}
	c := espial.Config{
		Cluster: f.cluster, Name: f.name, Listen: f.listen, Advertise: f.advertise,
		Seeds: f.join, KeyFile: f.keyFile, Metadata: metadata, Ineligible: f.ineligible,
		StateDir: f.stateDir, StreamChanges: f.streamChanges, MinPeers: f.minPeers, MaxPeers: f.maxPeers,
		Multicast: espial.Multicast{
			Off: !multicast, Group: f.group, Interface: f.iface, NoLoopback: !f.loopback, TTL: f.ttl,
		},
		Logger: slog.New(slog.NewTextHandler(warnings, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if err := f.carry(&c, f.given("discover")); err != nil {
		return espial.Config{}, err
	}
	switch {
	case f.quorum < 0 || f.quorum > quorumMax:
		return espial.Config{}, usagef("--quorum: is %d, must be between 1 and %d", f.quorum, quorumMax)
	case f.quorum > 0:
		c.Election = espial.Quorum(f.quorum)
		if f.quorum%2 == 0 {
			warnf(warnings, "--quorum %d tolerates no more failures than --quorum %d does",
				f.quorum, f.quorum-1)
		}
	}
	if f.admit != "" {
		c.Admit = newGatekeeper(f.admit).admit
	}
	return c, nil
}

// pairs returns what --meta says.
func pairs(meta []string) (map[string]string, error) {
	m := map[string]string{}
	for _, kv := range meta {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--meta: %q is not KEY=VALUE", kv)
		}
		m[k] = v
	}
	return m, nil
}

// flagOf returns the flag for a field of espial.Config.
func flagOf(field string) string {
	switch field {
	case "Seeds":
		return "--join"
	case "MinPeers":
		return "--min-peers"
	case "MaxPeers":
		return "--max-peers"
	case "KeyFile":
		return "--key-file"
	case "StateDir":
		return "--state-dir"
	case "Metadata":
		return "--meta"
	case "Multicast":
		return "--discover multicast"
	case "Election":
		return "--quorum"
	}
	return "--" + strings.ToLower(strings.ReplaceAll(field, ".", "-"))
}

// wants returns a check for exactly the named arguments. A last name that ends with "…" stands
// for any number.
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		least, most := len(names), len(names)
		if most > 0 && strings.HasSuffix(names[most-1], "…") {
			least, most = least-1, len(args)
		}
		help := "see " + cmd.CommandPath() + " --help"
		switch {
		case len(args) < least:
			return usagef("%s needs %s; %s", cmd.Name(), names[len(args)], help)
		case len(args) > most:
			return usagef("%s takes no argument %q; %s", cmd.Name(), args[most], help)
		}
		return nil
	}
}

// warnf prints a warning.
func warnf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "espial: "+format+"\n", args...)
}
