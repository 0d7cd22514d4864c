#!/usr/bin/env bash
# Fuzzes the readers of files with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer (needs clang).
#
#   scripts/fuzz.sh                        every reader for 30 seconds each
#   scripts/fuzz.sh --seconds 600 npz idx  these two, ten minutes each
#   scripts/fuzz.sh --fast --executions 50000000
#                                          every reader that often, in a build ten times as fast: optimised, with
#                                          the standard library's assertions but without the sanitizers
#   scripts/fuzz.sh --keep                 then add inputs that reach new code to tests/fuzz/corpus, minimised
#
# Readers: the names of tests/fuzz/*_fuzz.cpp. An input is a finding if it crashes, takes more than a second, asks for
# more than 64 MB at once or takes the process more than 64 MB over what it needs for the smallest input, and does so
# again three times when run alone: a machine that stops for a moment is none. What is found stays in
# build/fuzz/found; an input there reproduces it:
#   build/fuzz/tests/fuzz/fuzz_npz build/fuzz/found/npz-crash-...
# Prints executions per reader. Exits 1 if anything was found.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=fuzz
seconds=30
executions=0
keep=no
readers=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds | --executions)
      [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || { printf '%s: %s needs a whole number\n' "$program" "$1" >&2; exit 2; }
      [ "$1" = --seconds ] && seconds="$2" || executions="$2"
      shift ;;
    --fast) preset=fuzz-fast ;;
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
build="build/$preset"
build_preset "$preset" "$root/$build-build.log" "${readers[@]/#/fuzz_}"
# Freed memory is kept aside by AddressSanitizer; not so much of it that it looks like use.
export ASAN_OPTIONS=quarantine_size_mb=8

found="$build/found"
mkdir -p "$found"

statistic() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

# limits READER: the options that say what a finding is.
limits() {
  local log="$build/$1-baseline.log"
  "$build/tests/fuzz/fuzz_$1" -runs=1 -print_final_stats=1 > "$log" 2>&1 || true
  local baseline
  baseline="$(statistic peak_rss_mb "$log")"
  printf '%s' "-timeout=1 -malloc_limit_mb=64 -rss_limit_mb=$((${baseline:-100} + 64))"
}

# happens_again PROGRAM INPUT LIMITS: alone and three times.
happens_again() {
  local try
  for try in 1 2 3; do
    # shellcheck disable=SC2086  # several options
    if "$1" $3 "$2" > /dev/null 2>&1; then return 1; fi
  done
}

# fuzz READER: until its executions or seconds are over, or something is found. Prints the executions.
fuzz() {
  local reader="$1" target="$build/tests/fuzz/fuzz_$1" work="build/fuzz-grown/$1" log="$build/$1.log"
  local done_so_far=0 start=$SECONDS options status artifact
  options="$(limits "$reader") -max_len=2048 -print_final_stats=1"
  [ ! -f "tests/fuzz/dictionaries/$reader.dict" ] || options+=" -dict=tests/fuzz/dictionaries/$reader.dict"
  mkdir -p "$work" "tests/fuzz/corpus/$reader"
  while :; do
    local left="-max_total_time=$((seconds - (SECONDS - start)))"
    [ "$executions" -eq 0 ] || left="-runs=$((executions - done_so_far))"
    status=0
    # shellcheck disable=SC2086
    "$target" $options "$left" -artifact_prefix="$found/$reader-" "$work" "tests/fuzz/corpus/$reader" > "$log" 2>&1 || status=$?
    done_so_far=$((done_so_far + $(statistic number_of_executed_units "$log" || true)))
    printf '%s\n' "$done_so_far" > "$build/$reader.executions"
    [ $status -ne 0 ] || return 0
    artifact="$(sed -n "s/.*Test unit written to //p" "$log" | tail -n 1)"
    [ -f "$artifact" ] || return 1
    ! happens_again "$target" "$artifact" "$(limits "$reader")" || return 1
    rm -f "$artifact"
    if [ "$executions" -eq 0 ]; then
      [ $((SECONDS - start)) -lt "$seconds" ] || return 0
    else
      [ "$done_so_far" -lt "$executions" ] || return 0
    fi
  done
}

failed=()
for reader in "${readers[@]}"; do
  begin=$SECONDS
  fuzz "$reader" || failed+=("$reader")
  say "$(printf '%-14s %12s executions in %s s, log: %s' "$reader" "$(cat "$build/$reader.executions")" \
    $((SECONDS - begin)) "$build/$reader.log")"
  if [ "$keep" = yes ]; then
    # Into a folder of its own: the smallest set that reaches all that old and new inputs reach.
    rm -rf "$build/minimised" && mkdir "$build/minimised"
    "$build/tests/fuzz/fuzz_$reader" -merge=1 "$build/minimised" "tests/fuzz/corpus/$reader" "build/fuzz-grown/$reader" \
      > "$build/$reader.merge.log" 2>&1
    for input in "$build/minimised"/*; do
      cp "$input" "tests/fuzz/corpus/$reader/$(sha1sum "$input" | cut -c1-12)"
    done
  fi
done
[ ${#failed[@]} -eq 0 ] || fail "findings in: ${failed[*]}; see $found and the logs"
