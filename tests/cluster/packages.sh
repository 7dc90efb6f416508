#!/usr/bin/env bash
# Debian packages that the local cluster's node and the fault tests need. Says what is missing where it may not install.
set -euo pipefail
declare -A package=(
  [containerd]=containerd [runc]=runc [iptables]=iptables [conntrack]=conntrack [buildah]=buildah
  [debootstrap]=debootstrap [ip]=iproute2 [unshare]=util-linux [setpriv]=util-linux
  [/usr/lib/cni/bridge]=containernetworking-plugins [strace]=strace
)
missing=()
for command in "${!package[@]}"; do
  command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The local cluster needs: ${missing[*]}. Install them, or run this as root on Debian."
  # Control plane tests do without; tests that need a node skip at a desk and fail on CI.
  exit 0
fi
echo "==> apt-get install ${missing[*]} ($(date +%T))"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
