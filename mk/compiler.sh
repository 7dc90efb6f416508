#!/usr/bin/env bash
# One locked package (pycosat, which reasoning-gym imports) has no wheel: building it takes a C
# compiler and Python's headers. Installs them as root on Debian, else says what is missing.
# Usage: compiler.sh PYTHON
set -euo pipefail
compiler="$("$1" -c 'import sysconfig; print((sysconfig.get_config_var("CC") or "cc").split()[0])')"
header="$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
missing=()
command -v "$compiler" >/dev/null || missing+=(gcc libc6-dev)
[ -f "$header" ] || missing+=(python3-dev)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "One package is built from source and needs a C compiler ($compiler) and $header."
  echo "On Debian: apt-get install ${missing[*]}"
  exit 1
fi
echo "==> apt-get install ${missing[*]} ($(date +%T))"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
