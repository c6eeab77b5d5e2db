#!/usr/bin/env bash
# Looks for what some tests use: the modules of those folders that are modules of their own,
# the system's tools for network namespaces, and a PostgreSQL server, which is reached through
# a tunnel. It installs missing ones where it may (root, apt). Never fails: those tests skip
# without them and say so.
set -euo pipefail

declare -A package=([ip]=iproute2 [nft]=nftables [tcpdump]=tcpdump [initdb]=postgresql)
names=(ip nft tcpdump initdb)

missing() {
  local name
  for name in "${names[@]}"; do
    command -v "$name" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$name" >/dev/null ||
      compgen -G "/usr/pgsql-*/bin/$name" >/dev/null || printf '%s\n' "$name"
  done
}

# The package would start a server; the tests start one of their own.
no_server() {
  local conf=/etc/postgresql-common/createcluster.conf
  [[ -e $conf ]] || { mkdir -p "${conf%/*}" && echo 'create_main_cluster = false' >"$conf"; }
}

install() {
  export DEBIAN_FRONTEND=noninteractive
  timeout 60 apt-get update -qq </dev/null || true
  local name
  for name in $(missing); do # one by one: what cannot be had must not keep the others away
    if [[ $name == initdb ]]; then no_server; fi
    timeout 120 apt-get install -y -qq --no-install-recommends "${package[$name]}" </dev/null >/dev/null || true
  done
}

for folder in examples/fenced examples/health examples/postgres bench; do
  timeout 120 go -C "$folder" mod download 2>/dev/null || echo "deps: the tests of $folder will be skipped"
done
[[ $(uname -s) == Linux ]] || exit 0
if [[ -n $(missing) && $EUID == 0 ]] && command -v apt-get >/dev/null; then install; fi
left=$(missing | xargs)
if [[ -n $left ]]; then
  echo "deps: without $left tests in network namespaces will be skipped"
elif [[ $EUID != 0 ]]; then
  echo "deps: not root, the tests in network namespaces will be skipped"
fi
