#!/usr/bin/env bash
# ThreadSanitizer over everything that runs on several threads, with a oneTBB that is instrumented too: the
# packaged one is not, and would be reported instead of the code.
#
#   scripts/tsan.sh                builds oneTBB from Debian's sources (under a minute) and, in build/tsan, the tests of
#                                  every room that uses threads; sees a planted race caught, then runs those tests
#   scripts/tsan.sh -- -L io       builds all tests; what follows -- goes to ctest
#
# Needs Debian and its mirror, and curl; touches no system file. Exit code: ctest's.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

rooms=(base parallel io nn fisher ewc train)
targets=()
case "${1:-}" in
  '')
    targets=(planted_race "${rooms[@]/#/test_}")
    set -- -L "$(IFS='|'; printf '%s' "${rooms[*]}")" ;;
  --) shift ;;
  -h | --help) print_help; exit 0 ;;
  *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
esac

cd "$root"
scripts/setup.sh
tbb="$root/build/tsan-tbb"
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 ${TSAN_OPTIONS:-}"

# Debian's source of the very release that is installed, from the mirror apt uses.
fetch_sources() {
  local version mirror
  version="$(dpkg-query -W -f='${source:Upstream-Version}' libtbb-dev)"
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)"
  mkdir -p "$tbb/source"
  curl -fsSL "${mirror%/}/pool/main/o/onetbb/onetbb_$version.orig.tar.xz" |
    tar -xJ -C "$tbb/source" --strip-components 1
}

build_tbb() {
  [ -e "$tbb/install/lib/libtbb.so" ] && return 0
  say "building oneTBB with ThreadSanitizer (log: build/tsan-tbb/log)"
  mkdir -p "$tbb"
  {
    fetch_sources &&
      cmake -S "$tbb/source" -B "$tbb/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTBB_TEST=OFF \
        -DTBB_STRICT=OFF -DTBB_SANITIZE=thread -DTBBMALLOC_BUILD=OFF -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_PREFIX="$tbb/install" &&
      cmake --build "$tbb/build" --parallel "$(nproc)" && cmake --install "$tbb/build"
  } > "$tbb/log" 2>&1 || {
    tail -n 5 "$tbb/log" >&2
    fail "oneTBB could not be built from source; its last lines are above"
  }
}

build_tbb
export TBB_DIR="$tbb/install/lib/cmake/TBB" LD_LIBRARY_PATH="$tbb/install/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
build_preset tsan "$root/build/tsan-build.log" ${targets[@]+"${targets[@]}"}

say "a planted race"
if build/tsan/tests/planted_race > /dev/null 2> build/tsan/planted_race.log; then
  fail "ThreadSanitizer did not catch the planted race: nothing below would mean anything"
fi
grep -q 'WARNING: ThreadSanitizer: data race' build/tsan/planted_race.log ||
  fail "the planted race ended otherwise than by a report; see build/tsan/planted_race.log"

say "the tests"
exec ctest --preset tsan --parallel "$(nproc)" "$@"
