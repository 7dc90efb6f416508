#!/usr/bin/env bash
# Builds etcd, the Kubernetes commands, CoreDNS and helm from their Go modules, pinned, into
# ${PRORL_CACHE:-~/.cache/prorl}/bin-HASH. Minutes the first time, nothing afterwards.
# Usage: build.sh [--print]   --print only prints the folder.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${PRORL_CACHE:-$HOME/.cache/prorl}"
kubernetes=1.34.4 coredns=1.12.4 helm=3.19.0  # go.mod pins the libraries and etcd
hash="$( (cat "$here"/{k8s,etcd}/go.{mod,sum}; echo "$kubernetes $coredns $helm") | sha256sum | cut -c1-12)"
out="$cache/bin-$hash"
[ "${1:-}" = --print ] && { echo "$out"; exit 0; }
mkdir -p "$cache"
exec 9> "$cache/build.lock"
flock 9  # two builds at once would want twice the disk
[ -f "$out/complete" ] && exit 0

command -v go >/dev/null || { echo "Go >= 1.24 is needed to build Kubernetes; 'go' was not found."; exit 1; }
mkdir -p "$out"
free_gib=$(( $(df --output=avail -k "$out" | tail -n 1) >> 20 ))
[ "$free_gib" -ge 12 ] || { echo "Building Kubernetes needs 12 GiB in $cache; $free_gib GiB are free."; exit 1; }

export GOMODCACHE="$cache/go-build/mod" GOCACHE="$cache/go-build/cache" CGO_ENABLED=0 GOTOOLCHAIN=local
trap 'chmod -R u+w "$cache/go-build" 2>/dev/null; rm -rf "$cache/go-build"' EXIT
# The list of downloads is long and says nothing; errors still pass.
quiet() { "$@" 2> >(grep -v '^go: downloading' >&2 || true); }
say() { printf '==> %s (%s)\n' "$1" "$(date +%T)"; }

say "building etcd"
(cd "$here/etcd" && quiet go build -mod=readonly -trimpath -ldflags "-s -w" -o "$out/etcd" go.etcd.io/etcd/server/v3)
say "building Kubernetes $kubernetes (six commands): some minutes"
stamp="k8s.io/component-base/version"
(cd "$here/k8s" && quiet go build -mod=readonly -trimpath -o "$out/" \
  -ldflags "-s -w -X $stamp.gitVersion=v$kubernetes -X $stamp.gitMajor=1 -X $stamp.gitMinor=34" \
  k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl})
say "building CoreDNS $coredns"
(cd / && GOBIN="$out" quiet go install -trimpath -ldflags "-s -w" "github.com/coredns/coredns@v$coredns")
say "building helm $helm"
(cd / && GOBIN="$out" quiet go install -trimpath -ldflags "-s -w" "helm.sh/helm/v3/cmd/helm@v$helm")
touch "$out/complete"
say "the Kubernetes commands are in $out"
