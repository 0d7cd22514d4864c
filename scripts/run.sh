#!/usr/bin/env bash
# The main job, end to end: builds fisherdiag, trains a network, computes its Fisher diagonal with every estimator,
# benchmarks passes and penalties, and writes report/index.html.
#
#   scripts/run.sh [--quick]    ten minutes: enough for every figure of the report (the default)
#   scripts/run.sh --full       every benchmark with more repetitions: about an hour on two cores
#
# Measurements go to build/run, the report to report/ (index.html, summary.md, results.json, *.png). It can be
# interrupted at any time: an earlier report stays as it was until the new one is complete.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mode=quick
for argument in "$@"; do
  case "$argument" in
    --quick) mode=quick ;;
    --full) mode=full ;;
    -h | --help) print_help; exit 0 ;;
    *) printf '%s: unknown option %s (see --help)\n' "$program" "$argument" >&2; exit 2 ;;
  esac
done

cd "$root"
started=$SECONDS
arch=mlp:784-256-256-10
run=build/run
tool=build/release/src/cli/fisherdiag
bench=build/release/bench/fisherdiag-bench
trap 'printf "\n%s: interrupted; report/ is as it was\n" "$program" >&2; exit 130' INT
trap 'printf "\n%s: terminated; report/ is as it was\n" "$program" >&2; exit 143' TERM

# --- Running and recording ----------------------------------------------------------------------------------------

# measure NAME COMMAND...: runs it, keeps what it prints (JSON) as runs/NAME.json and the command beside it.
measure() {
  local name="$1"
  shift
  "$@" > "$run/runs/$name.json" 2> "$run/log/$name.log" || {
    cat "$run/log/$name.log" >&2
    rm -f "$run/runs/$name.json"
    fail "this command failed: $*"
  }
  printf '%s\t%s\n' "$name" "$*" >> "$run/commands.tsv"
}

# measure_benchmarks FILE FILTER: runs fisherdiag-bench on the benchmarks whose names match, into FILE.json.
measure_benchmarks() {
  local file="$1" filter="$2"
  # Interleaved repetitions: a machine that drifts then slows all benchmarks alike instead of the last ones.
  "$bench" --benchmark_filter="$filter" --benchmark_repetitions="$repetitions" --benchmark_min_time="$min_time" \
    --benchmark_enable_random_interleaving=true \
    --benchmark_out="$run/$file.json" --benchmark_out_format=json > "$run/log/$file.log" 2>&1 || {
    tail -n 5 "$run/log/$file.log" >&2
    fail "fisherdiag-bench failed; its last lines are above, all of them in $run/log/$file.log"
  }
  # It leaves an empty file when the filter matches nothing; the report then says what was not measured.
  [ -s "$run/$file.json" ] || rm -f "$run/$file.json"
}

compute() { # compute NAME DATA ESTIMATOR...
  local name="$1" data="$2"
  shift 2
  measure "$name" "$tool" compute --arch "$arch" --weights "$run/weights.safetensors" --data "$data" \
    --estimator "$@" -o "$run/fisher/$name.safetensors" --json
}

difference() { # difference NAME A B
  measure "$1" "$tool" diff "$run/fisher/$2.safetensors" "$run/fisher/$3.safetensors" --json
}

# --- The steps ----------------------------------------------------------------------------------------------------

choose_data() {
  note=""
  if scripts/fetch_data.sh > "$run/log/fetch.log" 2>&1; then
    train_data=fashion-mnist:train
    test_data=fashion-mnist:test
  else
    train_data=synthetic:60000
    test_data=synthetic:10000
    note="Fashion-MNIST could not be had on this machine, so the network was trained on synthetic data; speeds hold, "
    note+="accuracy and the differences between estimators say nothing about real data."
    say "Fashion-MNIST is not available (see $run/log/fetch.log); using synthetic data"
  fi
}

train() {
  say "training $arch on $train_data"
  measure train "$tool" train --arch "$arch" --data "$train_data" --test-data "$test_data" --seed 1 \
    -o "$run/weights.safetensors" --json
}

compute_every_estimator() {
  local estimator draws
  say "computing the Fisher diagonal with every estimator"
  for estimator in empirical exact predicted batched; do
    compute "compute-$estimator" "$train_data" "$estimator"
  done
  for estimator in mc sketch; do
    for draws in 1 10; do
      compute "compute-$estimator-$draws" "$train_data" "$estimator" --mc-samples "$draws" --seed 1
    done
  done
  for estimator in empirical predicted batched mc-1 sketch-1; do
    difference "diff-$estimator" "compute-$estimator" compute-exact
  done
}

measure_sampling_error() {
  local estimator draws seed name
  say "measuring the error of mc and sketch on $error_data"
  compute error-exact "$error_data" exact
  for estimator in mc sketch; do
    for draws in 1 2 4 8 16 32 64; do
      for seed in $(seq "$seeds"); do
        name="error-$estimator-S$draws-seed$seed"
        compute "$name" "$error_data" "$estimator" --mc-samples "$draws" --seed "$seed"
        difference "diff-$name" "$name" error-exact
        rm -f "$run/fisher/$name.safetensors"
      done
    done
  done
}

# The tool's own memory, from a process that does nothing else: one full block of samples, as it holds at any time.
measure_memory() {
  local model estimator
  say "measuring memory"
  for model in 784-32-10 784-256-256-10 784-400-400-10 784-1024-1024-10 784-4096-4096-10; do
    "$tool" train --arch "mlp:$model" --data synthetic:128 --epochs 1 -o "$run/fisher/random.safetensors" --quiet \
      > /dev/null 2> "$run/log/random.log" || fail "training mlp:$model failed: $(tail -n 1 "$run/log/random.log")"
    for estimator in empirical exact; do
      [ "$mode-$model-$estimator" = quick-784-4096-4096-10-exact ] && continue
      measure "memory-$model-$estimator" "$tool" compute --arch "mlp:$model" \
        --weights "$run/fisher/random.safetensors" --data synthetic:4096 --estimator "$estimator" --json
    done
  done
}

run_worked_examples() {
  say "computing the worked examples"
  measure toy-hotdog "$tool" toy hotdog --prior 0.5 --json
  measure toy-paths "$tool" toy paths --json
}

benchmark_passes() {
  local all="$1" model variants
  for model in 784-32-10 784-256-256-10 784-400-400-10 784-1024-1024-10 784-4096-4096-10; do
    say "benchmarking Fisher passes of $model"
    case "$mode-$model" in
      quick-784-4096-4096-10) variants="empirical/threads:(1|$all)" ;;
      quick-784-400-400-10) variants="(empirical|exact)/threads:(1|$all)" ;;
      quick-*) variants="((empirical|exact)/threads:$all|[a-z]+/threads:1)" ;;
      full-*) variants="[a-z]+/threads:[0-9]+" ;;
    esac
    measure_benchmarks "bench-fisher-$model" "^fisher/mlp-$model/$variants(/|\$)"
  done
  say "benchmarking Fisher passes of networks whose weights are used at many positions"
  local small="(lenet5|cnn-s)/((empirical|exact)/threads:$all|(empirical|exact|mc|sketch|materialized)/threads:1)"
  local large="(resnet18-reduced|transformer-tiny)/empirical/threads:(1|$all)"
  if [ "$mode" = full ]; then
    small="(lenet5|cnn-s)/[a-z]+/threads:[0-9]+" large="(resnet18-reduced|transformer-tiny|vgg11)/[a-z]+/threads:[0-9]+"
  fi
  measure_benchmarks bench-presets "^fisher/($small|$large)(/|\$)"
  say "benchmarking exact against the number of classes"
  measure_benchmarks bench-classes "^fisher/mlp-784-256-256-(2|100|1000)/(empirical|exact)/threads:1(/|\$)"
}

benchmark_isa_levels() {
  local isa models='784-(256-256|1024-1024)-10'
  [ "$mode" = full ] && models='784-[0-9]+(-[0-9]+)?-10'
  for isa in $1; do
    say "benchmarking passes with $isa instructions"
    FISHERDIAG_ISA="$isa" measure_benchmarks "isa-$isa" "^fisher/mlp-$models/empirical/threads:1(/|\$)"
  done
}

write_about() {
  # Values travel as arguments, so that no quoting can break the JSON.
  "$python" -c 'import json, sys; json.dump(dict(zip(sys.argv[1::2], sys.argv[2::2])), sys.stdout)' \
    mode "$mode" date "$(date '+%Y-%m-%d %H:%M %Z')" arch "$arch" train_data "$train_data" test_data "$test_data" \
    error_data "$error_data" note "$note" bench "$bench" command "scripts/run.sh --$mode" > "$run/about.json"
}

# --- The main job -------------------------------------------------------------------------------------------------

scripts/setup.sh
python="$(find_python)" || fail "no Python with matplotlib and Jinja2; install python3-matplotlib and python3-jinja2"
build_preset release "$root/build/release-build.log" fisherdiag_cli fisherdiag-bench
[ -x "$tool" ] || fail "the build left no $tool"
[ -x "$bench" ] || fail "the build left no $bench"

rm -rf "$run"
mkdir -p "$run/runs" "$run/log" "$run/fisher"
choose_data
if [ "$mode" = full ]; then
  repetitions=5 min_time=0.5 seeds=5 error_data="$train_data" kernel_shapes='[^/]+'
else
  repetitions=3 min_time=0.1 seeds=3 error_data="$test_data"
  kernel_shapes='(1024x1024x1024|512x784x256|64x256x256|512x784|4096x10|269322|20037642)'
fi
write_about

measure machine "$tool" machine --json
threads="$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["threads"])' "$run/runs/machine.json")"
other_isas="$("$python" -c 'import json, sys
machine = json.load(open(sys.argv[1]))
print(*(isa for isa in machine["isas"] if isa != machine["isa"]))' "$run/runs/machine.json")"

train
compute_every_estimator
measure_sampling_error
measure_memory
run_worked_examples
benchmark_passes "$threads"
say "benchmarking the EWC penalty in training steps"
measure_benchmarks bench-step "^step/.*/threads:1(/|\$)"
say "benchmarking kernels"
measure_benchmarks bench-kernel "^kernel/.*/$kernel_shapes/isa:.*/threads:1(/|\$)"
benchmark_isa_levels "$other_isas"

say "writing the report"
"$python" scripts/report.py "$run" --out report || fail "the report could not be written"
say "done in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s: report/index.html"
