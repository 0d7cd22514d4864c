#!/usr/bin/env bash
# Forgetting, and EWC against it: learns Split and permuted Fashion-MNIST with every method and estimator, and adds the
# sections "Continual learning" to report/index.html; every run is in report/continual-*.json.
#
#   scripts/experiments.sh [--quick]   300 iterations a task, 3 seeds, few lambdas: under ten minutes (the default)
#   scripts/experiments.sh --full      van de Ven 2025's settings, 10 seeds, lambdas from 1 to 1e12: about two hours
#
#   --build-dir FOLDER     use the tool of this build instead of building preset release
#
# On two cores that nothing else uses. Interrupt it whenever you like: finished runs are kept, and the same command continues with the missing ones. Quick
# and full runs are kept apart; to begin again, delete report/continual-*.json.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=quick
build=""
while [ $# -gt 0 ]; do
  case "$1" in
    --quick | --full) mode="${1#--}" ;;
    --build-dir)
      [ $# -gt 1 ] || { printf '%s: --build-dir needs a folder\n' "$program" >&2; exit 2; }
      build="$(cd "$2" 2> /dev/null && pwd)" || { printf '%s: no folder %s\n' "$program" "$2" >&2; exit 2; }
      shift ;;
    -h | --help) print_help; exit 0 ;;
    *) printf '%s: unknown option %s (see --help)\n' "$program" "$1" >&2; exit 2 ;;
  esac
  shift
done

cd "$root"
started=$SECONDS
trap 'printf "\n%s: interrupted; the same command continues\n" "$program" >&2; exit 130' INT

if [ -z "$build" ]; then
  scripts/setup.sh
  build_preset release "$root/build/release-build.log" fisherdiag_cli
  build="$root/build/release"
fi
tool="$build/src/cli/fisherdiag"
[ -x "$tool" ] || fail "there is no $tool"
mkdir -p build report
scripts/fetch_data.sh > build/experiments-data.log 2>&1 ||
  fail "Fashion-MNIST cannot be had here (see build/experiments-data.log)"

# learn STREAM FILE OPTION...: adds the runs to report/continual-FILE-MODE.json.
learn() {
  local tasks="$1" file="$2"
  shift 2
  "$tool" continual --tasks "$tasks" --iterations "$iterations" -o "report/continual-$file-$mode.json" "$@" > /dev/null ||
    { local code=$?; [ "$code" -ge 128 ] && exit "$code"; fail "this command failed: $tool continual --tasks $tasks $*"; }
}

# Ranges around each estimator's best lambda: the wrong ones cost as much as the right ones.
if [ "$mode" = quick ]; then
  iterations=300 seeds=3 lambda_seeds=1 permuted_seeds=1
  small=1e2,1e3,1e4 large=1e4,1e6,1e8 batched=1e6,1e8 l2=1e-1 permuted=1e2
else
  iterations=2000 seeds=10 lambda_seeds=3 permuted_seeds=5
  small=1e0,1e1,1e2,1e3,1e4,1e5,1e6,1e7,1e8 large=1e2,1e3,1e4,1e5,1e6,1e7,1e8,1e9,1e10
  batched=1e4,1e5,1e6,1e7,1e8,1e9,1e10,1e11,1e12 l2=1e-3,1e-2,1e-1,1e0,1e1 permuted=1e1,1e2,1e3,1e4
fi

say "Split Fashion-MNIST: lower and upper bound, l2"
split=(split-fashion-mnist split --seeds "$seeds" --lambda-seeds "$lambda_seeds")
learn "${split[@]}" --methods none,joint,l2 --lambda "$l2"
say "Split Fashion-MNIST: exact, exact of 500 samples, sketch"
learn "${split[@]}" --methods ewc-online:exact,ewc-online:exact@500,ewc-online:sketch --lambda "$small"
say "Split Fashion-MNIST: empirical, mc, batched"
learn "${split[@]}" --methods ewc-online:empirical,ewc-online:mc --lambda "$large"
learn "${split[@]}" --methods ewc-online:batched --lambda "$batched"
say "Split Fashion-MNIST: lambda of exact carried over to the others"
learn split-fashion-mnist split --seeds "$lambda_seeds" --lambda-from exact:1e3 \
  --methods ewc-online:sketch,ewc-online:empirical,ewc-online:mc,ewc-online:batched
say "permuted Fashion-MNIST, ten tasks"
learn permuted-fashion-mnist:10 permuted --seeds "$permuted_seeds" --lambda-seeds 1 \
  --methods none,ewc-online:exact --lambda "$permuted"

python="$(find_python)" || fail "the results are in report/, but no Python here has matplotlib and Jinja2"
source=report/results.json
if [ ! -s "$source" ]; then
  source=build/experiments
  mkdir -p "$source"
  printf '{"mode": "%s", "date": "%s", "command": "scripts/experiments.sh --%s"}\n' \
    "$mode" "$(date '+%Y-%m-%d %H:%M %Z')" "$mode" > "$source/about.json"
fi
"$python" scripts/report.py "$source" --out report || fail "the report could not be written"
say "done in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s: report/index.html"
