#!/usr/bin/env bash
# Plants bugs, one at a time, and counts how many the tests catch.
#
#   scripts/mutation.sh              every bug of scripts/mutation/mutants.py: about half an hour
#   scripts/mutation.sh gram npy     those whose name or file has one of these words
#
# Works on what is committed, in a clone in build/mutation, with preset ci. Each bug is a small edit; the test programs
# named beside it are built and run. Prints what happened and writes build/mutation-table.md. Exits 1 if fewer than 95%
# are caught, or if a bug does not build or no longer finds its place in the source.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
  -h | --help) print_help; exit 0 ;;
  -*) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
esac

mkdir -p "$root/build"
PYTHONPATH="$root/scripts" exec python3 -B -m mutation.main --repository "$root" --folder "$root/build/mutation" \
  --table "$root/build/mutation-table.md" "$@"
