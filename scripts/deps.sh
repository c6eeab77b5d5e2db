#!/usr/bin/env bash
# Looks for what some tests use: the modules of those folders that are modules of their own,
# and the system's tools for network namespaces, of which it installs missing ones where it
# may (root, apt). Never fails: those tests skip without them and say so.
set -euo pipefail

declare -A package=([ip]=iproute2 [nft]=nftables [tcpdump]=tcpdump)
names=(ip nft tcpdump)

missing() {
  local name
  for name in "${names[@]}"; do
    command -v "$name" >/dev/null || printf '%s\n' "$name"
  done
}

install() {
  local want=()
  local name
  for name in $(missing); do want+=("${package[$name]}"); done
  export DEBIAN_FRONTEND=noninteractive
  timeout 60 apt-get update -qq </dev/null || true
  timeout 180 apt-get install -y -qq --no-install-recommends "${want[@]}" </dev/null >/dev/null || true
}

for folder in examples/fenced examples/health bench; do
  timeout 120 go -C "$folder" mod download 2>/dev/null || echo "deps: the tests of $folder will be skipped"
done
[[ $(uname -s) == Linux ]] || exit 0
if [[ -n $(missing) && $EUID == 0 ]] && command -v apt-get >/dev/null; then install; fi
left=$(missing | xargs)
if [[ -n $left ]]; then
  echo "deps: without $left the tests in network namespaces will be skipped"
elif [[ $EUID != 0 ]]; then
  echo "deps: not root, the tests in network namespaces will be skipped"
fi
