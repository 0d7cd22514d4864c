#!/usr/bin/env bash
# Builds fisherdiag with warnings as errors and runs every test.
#
#   scripts/test.sh                           preset ci, in build/ci
#   scripts/test.sh --sanitize                AddressSanitizer and UndefinedBehaviorSanitizer, in build/asan-ubsan
#   scripts/test.sh [--sanitize] -- -L io     what follows -- goes to ctest
#
# The last lines are ctest's summary; the exit code is ctest's.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=ci
while [ $# -gt 0 ]; do
  case "$1" in
    --sanitize) preset=asan-ubsan ;;
    -h | --help) print_help; exit 0 ;;
    --) shift; break ;;
    *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
  esac
  shift
done

cd "$root"
scripts/setup.sh
build_preset "$preset" "$root/build/$preset-build.log"
say "running the tests"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
