#!/usr/bin/env bash
# Builds prometheus and promtool from their Go module, pinned, into
# ${PRORL_CACHE:-~/.cache/prorl}/prometheus-HASH. Five minutes the first time, nothing afterwards.
# Usage: build.sh [--print]   --print only prints the folder.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${PRORL_CACHE:-$HOME/.cache/prorl}"
out="$cache/prometheus-$(cat "$here"/go.{mod,sum} | sha256sum | cut -c1-12)"
[ "${1:-}" = --print ] && { echo "$out"; exit 0; }
mkdir -p "$cache"
exec 9> "$cache/build.lock"
flock 9  # two builds at once would want twice the disk
[ -f "$out/complete" ] && exit 0

command -v go >/dev/null || { echo "Go >= 1.24 is needed to build Prometheus; 'go' was not found."; exit 1; }
mkdir -p "$out"
free_gib=$(( $(df --output=avail -k "$out" | tail -n 1) >> 20 ))
[ "$free_gib" -ge 6 ] || { echo "Building Prometheus needs 6 GiB in $cache; $free_gib GiB are free."; exit 1; }

export GOMODCACHE="$cache/go-build/mod" GOCACHE="$cache/go-build/cache" CGO_ENABLED=0 GOTOOLCHAIN=local
trap 'chmod -R u+w "$cache/go-build" 2>/dev/null; rm -rf "$cache/go-build"' EXIT
echo "==> building Prometheus: some minutes ($(date +%T))"
cd "$here"
# The list of downloads is long and says nothing; errors still pass.
go build -mod=readonly -trimpath -ldflags "-s -w" -o "$out/" \
  github.com/prometheus/prometheus/cmd/{prometheus,promtool} 2> >(grep -v '^go: downloading' >&2 || true)
touch "$out/complete"
echo "==> prometheus and promtool are in $out ($(date +%T))"
