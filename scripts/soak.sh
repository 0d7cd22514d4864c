#!/usr/bin/env bash
# Heavy reliability tiers: what takes too long for the tests. What they found is in docs/reliability.md.
#
#   scripts/soak.sh                    every tier but stream, with the counts below: about half an hour
#   scripts/soak.sh TIER...            only these: faults kills determinism allocations sum emulation stream
#
#   --build-dir FOLDER    use this build instead of building preset release
#   --kills N             SIGKILLs of the tier kills (500)
#   --repeats N           repeats of the tier determinism (20)
#   --minutes M           duration of the tier stream (120)
#   --threads N           threads of the tier stream (1, so that the machine stays of use)
#   --most-calls K        the tier faults fails calls 1 to K of each kind (all there are)
#   --seed S              of what is random (1)
#
#   faults        strace makes one system call fail, of every kind, one after the other (needs Debian's strace)
#   kills         SIGKILL at random moments of a job that writes checkpoints, which then goes on
#   determinism   threads x memory bounds x shards x repeats: one SHA-256 for each instruction set; a few of the repeats for
#                 graphs, importance subsets and bf16
#   allocations   an allocation fails, one of every call stack, in compute and in part for the other verbs (needs a C compiler)
#   sum           10^8 samples against a sum in long double
#   emulation     processors without AVX-512 and AVX: the bits of their level (needs Debian's qemu-user)
#   stream        an endless job: resident memory and descriptors over time
#
# Exits 1 if a tier finds anything.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build=""
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --build-dir)
      [ $# -gt 1 ] || { printf '%s: --build-dir needs a folder\n' "$program" >&2; exit 2; }
      build="$(cd "$2" 2> /dev/null && pwd)" || { printf '%s: no folder %s\n' "$program" "$2" >&2; exit 2; }
      shift ;;
    --kills | --repeats | --minutes | --threads | --most-calls | --seed)
      [[ "${2:-}" =~ ^[0-9]+$ ]] || { printf '%s: %s needs a number\n' "$program" "$1" >&2; exit 2; }
      arguments+=("$1" "$2")
      shift ;;
    -h | --help) print_help; exit 0 ;;
    faults | kills | determinism | allocations | sum | emulation | stream) arguments+=("$1") ;;
    *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
  esac
  shift
done

cd "$root"
if [ -z "$build" ]; then
  scripts/setup.sh
  build_preset release "$root/build/release-build.log" fisherdiag_cli test_fisher
  build="$root/build/release"
fi
PYTHONPATH="$root/scripts" exec python3 -B -m soak.main --build-dir "$build" ${arguments[@]+"${arguments[@]}"}
