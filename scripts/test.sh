#!/usr/bin/env bash
# Runs the tests of the packages given, or of all, with the race detector, and prints
# the JSON of go test -json.
#
# Of all packages the machines and what composes them go first and without the race
# detector: it finds nothing where there is not one goroutine, and makes their
# simulations eight times as slow. With it they run in those that share them between
# goroutines, exchange, engine and the root. TestOnlyPurePackagesRunWithoutRaces holds
# this list.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

machines=(admission beacon core council dial elect fault gossip lease member overlay rpc session sim)

# One package more than there are processors runs at the same time: those in network
# namespaces mostly wait.
processes=$(($(getconf _NPROCESSORS_ONLN) + 1))
run=(go test -json -p "$processes" -timeout 5m)

# The arithmetic of signatures works on numbers of its own. With each of its reads and
# writes watched, verifying took half the time of all tests of clusters. What comes in
# and goes out of it, in crypto/ed25519, is watched.
race=(-race -gcflags='crypto/internal/fips140/edwards25519/...=-race=false')

if [[ $# != 0 && $* != ./... ]]; then
  exec "${run[@]}" "${race[@]}" "$@"
fi

# Tests that give nodes a share of a processor, and see what comes of it, need the rest
# of it idle. They come last.
alone='^TestA?Starved'

pure=$(go list "${machines[@]/#/./internal/}")
raced=$(go list ./... | grep -vxF "$pure")
status=0
# shellcheck disable=SC2086 # one word for each package
"${run[@]}" $pure || status=$?
# Those that take longest begin first.
# shellcheck disable=SC2086
"${run[@]}" "${race[@]}" -skip "$alone" . ./test/ns $raced || status=$?
"${run[@]}" "${race[@]}" -run "$alone" ./test/ns || status=$?
exit "$status"
