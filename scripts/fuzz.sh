#!/usr/bin/env bash
# Runs every fuzz target for a while: fuzz.sh DURATION [PACKAGES]. Stops at the
# first finding, which the go command leaves in testdata/fuzz of the package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-10s}
shift || true

for pkg in $(go list "${@:-./...}"); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
    echo "fuzz: $pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
  done
done
