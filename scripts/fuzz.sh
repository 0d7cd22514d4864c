#!/usr/bin/env bash
# Fuzzes the readers of files with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer (needs clang).
#
#   scripts/fuzz.sh                        every reader for 30 seconds each
#   scripts/fuzz.sh --seconds 600 npz idx  these two, ten minutes each
#   scripts/fuzz.sh --keep                 then add inputs that reach new code to tests/fuzz/corpus, minimised
#
# Readers: the names of tests/fuzz/*_fuzz.cpp. What is found stays in build/fuzz/found; an input there reproduces it:
#   build/fuzz/tests/fuzz/fuzz_npz build/fuzz/found/npz-crash-...
# Prints executions per reader. Exits 1 if any input crashed, hung (10 s) or asked for more than 256 MB at once.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seconds=30
keep=no
readers=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds)
      [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || { printf '%s: --seconds needs a whole number\n' "$program" >&2; exit 2; }
      seconds="$2"
      shift ;;
    --keep) keep=yes ;;
    -h | --help) print_help; exit 0 ;;
    -*) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
    *) readers+=("$1") ;;
  esac
  shift
done

cd "$root"
if [ ${#readers[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do readers+=("$(basename "$source" _fuzz.cpp)"); done
fi
for reader in "${readers[@]}"; do
  [ -f "tests/fuzz/${reader}_fuzz.cpp" ] ||
    { printf '%s: there is no reader %s in tests/fuzz\n' "$program" "$reader" >&2; exit 2; }
done
command -v clang++ > /dev/null || fail "clang++ is missing; install clang (with its libFuzzer runtime)"
build_preset fuzz "$root/build/fuzz-build.log" "${readers[@]/#/fuzz_}"

found=build/fuzz/found
mkdir -p "$found"
failed=()
for reader in "${readers[@]}"; do
  work="build/fuzz/work/$reader"
  log="build/fuzz/$reader.log"
  mkdir -p "$work" "tests/fuzz/corpus/$reader"
  status=0
  "build/fuzz/tests/fuzz/fuzz_$reader" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=256 -max_len=4096 \
    -artifact_prefix="$found/$reader-" -print_final_stats=1 "$work" "tests/fuzz/corpus/$reader" > "$log" 2>&1 || status=$?
  executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  say "$(printf '%-14s %12s executions in %s s, log: %s' "$reader" "${executions:-?}" "$seconds" "$log")"
  [ $status -eq 0 ] || failed+=("$reader")
  if [ "$keep" = yes ]; then
    "build/fuzz/tests/fuzz/fuzz_$reader" -merge=1 "tests/fuzz/corpus/$reader" "$work" > "$log.merge" 2>&1
  fi
done
[ ${#failed[@]} -eq 0 ] || fail "findings in: ${failed[*]}; see $found and the logs"
