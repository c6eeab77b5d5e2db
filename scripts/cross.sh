#!/usr/bin/env bash
# Compiles every package for every supported system, and the tests for some of
# them. Prints one line when all is well, else what the compiler said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Vet type-checks the tests as well: one foreign system of each kind is enough,
# since files are split by system, not by processor.
vetted="windows/amd64 darwin/arm64 freebsd/amd64"
export CGO_ENABLED=0

# What is not run need not be quick: without optimisation it compiles in two thirds of
# the time. This machine's own system shares what the other steps compiled.
own=$(go env GOHOSTOS)/$(go env GOHOSTARCH)

count=0
for os in linux darwin windows freebsd; do
  for arch in amd64 arm64; do
    export GOOS=$os GOARCH=$arch
    flags='all=-N -l'
    if [[ $os/$arch == "$own" ]]; then flags=''; fi
    if ! timeout 300 go build -gcflags="$flags" ./...; then
      echo "cross: $os/$arch does not build" >&2
      exit 1
    fi
    if [[ " $vetted " == *" $os/$arch "* ]] && ! timeout 300 go vet -gcflags="$flags" ./...; then
      echo "cross: the tests for $os/$arch do not compile" >&2
      exit 1
    fi
    count=$((count + 1))
  done
done
echo "cross: $count systems build, tests compile on $vetted"
