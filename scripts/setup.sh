#!/usr/bin/env bash
# Installs what fisherdiag needs to build, test and report, on Debian and Ubuntu.
#
#   scripts/setup.sh            install what is missing
#   scripts/setup.sh --check    only say what is missing; exit 1 if anything is
#
# With nothing missing it does nothing and needs no network. It uses sudo only when not run as root.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check_only=no
case "${1:-}" in
  '') ;;
  --check) check_only=yes ;;
  -h | --help) print_help; exit 0 ;;
  *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
esac

libraries=(libtbb-dev libxsimd-dev libbenchmark-dev catch2 libcli11-dev nlohmann-json3-dev zlib1g-dev libssl-dev)

installed() { dpkg-query -W -f='${Status}' "$1" 2> /dev/null | grep -q '^install ok installed$'; }

list_missing() {
  local package
  command -v g++ > /dev/null || echo g++
  command -v cmake > /dev/null || echo cmake
  command -v ninja > /dev/null || echo ninja-build
  for package in "${libraries[@]}"; do installed "$package" || echo "$package"; done
  find_python > /dev/null || printf '%s\n' python3-matplotlib python3-jinja2 python3-numpy
}

# Useful, but everything works without them: real training data, and OpenBLAS to compare with.
list_missing_extras() {
  [ -d /usr/share/datasets/fashion-mnist ] || [ -d "$root/data/fashion-mnist" ] || echo dataset-fashion-mnist
  installed libopenblas-dev || echo libopenblas-dev
}

if ! command -v dpkg-query > /dev/null; then
  for tool in g++ cmake ninja; do
    command -v "$tool" > /dev/null ||
      fail "this is not Debian or Ubuntu and $tool is missing; install g++, cmake, ninja and: ${libraries[*]}"
  done
  say "not Debian or Ubuntu: nothing is installed; the build names any library that is missing"
  exit 0
fi

mapfile -t missing < <(list_missing)
mapfile -t extras < <(list_missing_extras)

if [ "$check_only" = yes ]; then
  [ ${#missing[@]} -eq 0 ] || fail "missing packages: ${missing[*]}"
  exit 0
fi
[ $((${#missing[@]} + ${#extras[@]})) -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
  [ -t 0 ] || as_root=(sudo -n)
  if ! command -v sudo > /dev/null || ! "${as_root[@]}" true 2> /dev/null; then
    [ ${#missing[@]} -eq 0 ] && exit 0
    fail "packages are missing and this user may not install them; as root run: apt-get install ${missing[*]}"
  fi
fi
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=2 \
    -o Acquire::http::Timeout=20 -o Dpkg::Use-Pty=0 "$@"
}

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
say "installing: ${missing[*]} ${extras[*]}"
apt update > "$log" 2>&1 || say "apt-get update failed; trying with the package lists at hand"
if [ ${#missing[@]} -gt 0 ] && ! apt install --no-install-recommends "${missing[@]}" > "$log" 2>&1; then
  tail -n 5 "$log" >&2
  fail "apt-get could not install: ${missing[*]}"
fi
for package in "${extras[@]}"; do
  apt install --no-install-recommends "$package" > "$log" 2>&1 ||
    say "optional package $package could not be installed; going on without it"
done
