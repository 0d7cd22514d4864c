#!/usr/bin/env bash
# Measures fisherdiag beside PyTorch, BackPACK and JAX: same weights, data and threads, agreement checked first, rounds
# interleaved. Adds the section "Beside other libraries" to report/index.html; the numbers are in report/peers.json.
#
#   scripts/compare_peers.sh [--quick]   five models, five short rounds: about a quarter of an hour (the default)
#   scripts/compare_peers.sh --full      all nine models, nine rounds of a second each: hours
#   scripts/compare_peers.sh --check     only that every method agrees with fisherdiag; writes nothing
#
#   --models NAME...       only these, as mlp-784-256-256-10 or cnn-s
#   --build-dir FOLDER     use the binaries of this build instead of building preset release
#
# The first run installs the libraries from PyPI into build/peers-venv (6 GB: PyTorch's wheel brings CUDA along; with
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu pip may find one without). Delete that folder for newer
# versions. Let the machine be idle: every method gets the same CPUs, and whatever else runs takes its share of them.
# Exits 1 when a method's diagonal is not ours; methods that cannot run are listed in the report.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=quick
build=""
models=()
while [ $# -gt 0 ]; do
  case "$1" in
    --quick | --full | --check) mode="${1#--}" ;;
    --build-dir)
      [ $# -gt 1 ] || { printf '%s: --build-dir needs a folder\n' "$program" >&2; exit 2; }
      build="$(cd "$2" 2> /dev/null && pwd)" || { printf '%s: no folder %s\n' "$program" "$2" >&2; exit 2; }
      shift ;;
    --models)
      while [ $# -gt 1 ] && [[ "$2" != --* ]]; do models+=("$2"); shift; done
      [ ${#models[@]} -gt 0 ] || { printf '%s: --models needs a name\n' "$program" >&2; exit 2; } ;;
    -h | --help) print_help; exit 0 ;;
    *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
  esac
  shift
done

cd "$root"
started=$SECONDS
environment=build/peers-venv
work=build/peers
packages=(numpy safetensors torch backpack-for-pytorch 'jax[cpu]')
trap 'printf "\n%s: interrupted; report/ is as it was\n" "$program" >&2; exit 130' INT
trap 'printf "\n%s: terminated; report/ is as it was\n" "$program" >&2; exit 143' TERM

# A Python of at least 3.9 that can make an environment: Debian keeps venv in a package of its own.
find_venv_python() {
  local candidate
  for candidate in "$(command -v python3 || true)" /usr/bin/python3; do
    if [ -n "$candidate" ] &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' > /dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

can_import() { "$environment/bin/python" -c 'import numpy, safetensors, torch, backpack, jax' > "$1" 2>&1; }

install_peers() {
  local interpreter log=build/peers-venv.log
  [ -x "$environment/bin/python" ] && can_import /dev/null && return
  interpreter="$(find_venv_python)" ||
    fail "no Python 3.9 or newer with the venv module; install python3-venv"
  say "installing ${packages[*]} into $environment (log: $log)"
  rm -rf "$environment"
  mkdir -p build
  "$interpreter" -m venv "$environment" > "$log" 2>&1 ||
    fail "$interpreter could not make the environment $environment: $(tail -n 1 "$log")"
  if ! "$environment/bin/python" -m pip install --disable-pip-version-check --no-cache-dir --retries 2 \
    "${packages[@]}" > "$log" 2>&1; then
    rm -rf "$environment"
    fail "pip could not install ${packages[*]}: $(grep -i error "$log" | tail -n 1)"
  fi
  can_import "$log" || fail "the libraries are installed but cannot be imported: $(tail -n 1 "$log")"
}

# The report of the last scripts/run.sh with the comparison in it, or a page with the comparison alone.
write_report() {
  local python source=report/results.json
  python="$(find_python)" || fail "report/peers.json is written, but no Python here has matplotlib and Jinja2"
  if [ ! -s "$source" ]; then
    source="$work/no-run"
    mkdir -p "$source"
    printf '{"mode": "%s", "date": "%s", "command": "scripts/compare_peers.sh --%s"}\n' \
      "$mode" "$(date '+%Y-%m-%d %H:%M %Z')" "$mode" > "$source/about.json"
  fi
  "$python" scripts/report.py "$source" --out report || fail "the report could not be written"
}

if [ -z "$build" ]; then
  scripts/setup.sh
  build_preset release "$root/build/release-build.log" fisherdiag_cli fisherdiag-bench
  build="$root/build/release"
fi
for binary in src/cli/fisherdiag bench/fisherdiag-bench; do
  [ -x "$build/$binary" ] || fail "there is no $build/$binary"
done
install_peers

arguments=(--mode "$mode" --build "$build" --work "$work" --out report/peers.json)
[ ${#models[@]} -eq 0 ] || arguments+=(--models "${models[@]}")
mkdir -p "$work"
if scripts/fetch_data.sh > "$work/fetch.log" 2>&1; then
  # Its last line is "SET is in FOLDER".
  arguments+=(--data "$(sed -n 's/.* is in //p' "$work/fetch.log" | tail -n 1)")
else
  say "Fashion-MNIST is not available (see $work/fetch.log); using synthetic samples"
fi
PYTHONPATH="$root/scripts" PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" -m peers.main "${arguments[@]}"
rm -f "$work"/*.npy  # samples; weights and logs stay
[ "$mode" = check ] || write_report
minutes="$(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
if [ "$mode" = check ]; then say "every method agrees ($minutes)"; else say "done in $minutes: report/index.html"; fi
