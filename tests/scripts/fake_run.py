"""A folder like the one scripts/run.sh measures into, with known numbers, for testing the report without a machine."""

import json
import pathlib

CONTEXT = {
    "cpu_model": "Example <CPU> 3000", "isa": "avx512", "isas": "baseline avx2 avx512", "threads": "2",
    "compiler": "GNU 12.2.0", "project_build_type": "Release", "fisherdiag_version": "0.1.0", "git_commit": "abc1234",
    "peak_flops_1_thread": "1.1e+11", "peak_flops_all_threads": "2.2e+11", "bandwidth_1_thread": "2.4e+10",
    "bandwidth_all_threads": "3.1e+10",
}
SIZES = {"mlp-784-32-10": 25450, "mlp-784-256-256-10": 269322, "mlp-784-400-400-10": 478410,
         "mlp-784-1024-1024-10": 1863690, "mlp-784-4096-4096-10": 20037642}
COSTS = {"empirical": 1.0, "exact": 1.6, "mc": 1.05, "sketch": 1.1, "predicted": 1.0, "batched": 1.1, "loop": 12.0,
         "materialized": 9.0}
EXTRA_BYTES = {"none": 0, "l2": 4, "ewc-merged": 8, "ewc-online": 8, "ewc-separate-3": 48}
ISA_SPEED = {"baseline": 0.12, "avx2": 0.6}
RELATIVE_SPREAD = (1.0, 0.98, 1.03)


def entries(name, seconds, **per_iteration):
    """Three repetitions; counters are given per iteration and become rates, `fixed_` ones are kept."""
    result = []
    for index, factor in enumerate(RELATIVE_SPREAD):
        entry = {"name": f"{name}/process_time/real_time", "run_type": "iteration", "repetition_index": index,
                 "threads": 1, "iterations": 10, "real_time": seconds * factor * 1e3, "cpu_time": 1.0, "time_unit": "ms"}
        for key, value in per_iteration.items():
            entry[key.removeprefix("fixed_")] = value if key.startswith("fixed_") else value / (seconds * factor)
        result.append(entry)
    return result


def fisher(model, parameters, variant, threads, cost, speed=1.0):
    samples, rate = 512, 85e9 * threads * 0.95 ** (threads - 1) * speed
    flops = 6 * parameters * samples * (1 if variant in ("loop", "materialized") else cost)
    seconds = 6 * parameters * samples * cost / rate + 2e-5
    return entries(f"fisher/{model}/{variant}/threads:{threads}", seconds, samples_per_second=samples, flops=flops,
                   bytes_per_second=flops / 40, fixed_peak_fraction=flops / seconds / (1.1e11 * threads),
                   fixed_peak_rss_bytes=3e7 + 16 * parameters)


def benchmarks():
    fishers, steps, kernels = [], [], []
    for model, parameters in SIZES.items():
        for threads in (1, 2):
            for variant, cost in COSTS.items():
                fishers += fisher(model, parameters, variant, threads, cost)
        plain = 6 * parameters * 128 / 85e9
        for variant, extra in EXTRA_BYTES.items():
            steps += entries(f"step/{model}/{variant}/threads:1", plain + extra * parameters / 2.2e10,
                             fixed_penalty_bytes_per_step=extra * parameters)
    for classes in (2, 100, 1000):
        for variant, cost in (("empirical", 1.0), ("exact", 1 + 0.06 * (classes - 2))):
            fishers += fisher(f"mlp-784-256-256-{classes}", 267000 + 257 * classes, variant, 1, cost)
    for preset, parameters in (("lenet5", 61706), ("cnn-s", 620362)):
        for variant, cost in (("empirical", 1.0), ("exact", 6.0)):
            fishers += fisher(preset, parameters, variant, 1, cost)
    for isa, speed in {**ISA_SPEED, "avx512": 1.0}.items():
        for kernel, flops, intensity in (("gemm", 9e10, 30), ("squared_outer", 1e11, 60), ("softmax", 6e9, 1.2)):
            for shape in ("64x256x256", "512x784x256"):
                kernels += entries(f"kernel/{kernel}/{shape}/isa:{isa}/threads:1", 0.01, flops=flops * 0.01 * speed,
                                   bytes_per_second=flops * 0.01 * speed / intensity, fixed_peak_fraction=0.9)
        kernels += entries(f"kernel/penalty/269322/isa:{isa}/threads:1", 3e-4, bytes_per_second=20 * 269322)
    return {"fisher": fishers, "step": steps, "kernel": kernels}


def difference(ratio, cosine, spearman, error):
    entry = {"trace_a": 3.0 * ratio, "trace_b": 3.0, "trace_ratio": ratio, "cosine": cosine, "spearman": spearman,
             "relative_error": error}
    names = ("0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias")
    layers = [dict(entry, name=name, trace_a=3.0 * ratio * (1 + 0.2 * i), cosine=cosine - 0.01 * i)
              for i, name in enumerate(names)]
    return {"layers": layers, "total": entry, "lambda_ratio": 1 / ratio}


def runs():
    result = {"machine": {"cpu": "Example", "caches": {"l1_data": 49152, "l2": 2097152, "l3": 0},
                          "peak_flops_by_isa": {isa: {"1": 1e11, "all": 2e11} for isa in ("baseline", "avx2", "avx512")}},
              "train": {"test_accuracy": 0.8912, "seconds": 31.0}}
    for name, seconds in (("empirical", 1.0), ("exact", 2.0), ("mc-1", 1.1), ("mc-10", 2.1), ("sketch-1", 1.1),
                          ("sketch-10", 2.1), ("predicted", 1.0), ("batched", 1.2)):
        result[f"compute-{name}"] = {"samples": 60000, "seconds": seconds, "samples_per_second": 60000 / seconds,
                                     "flops": 9.7e10 * seconds, "peak_rss_bytes": 9e7}
    result["diff-empirical"] = difference(1.5, 0.83, 0.97, 0.8)
    result["diff-mc-1"] = difference(1.02, 0.97, 0.99, 0.2)
    result["diff-sketch-1"] = difference(1.0, 0.999, 0.999, 0.02)
    result["diff-predicted"] = difference(0.2, 0.6, 0.9, 0.9)
    result["diff-batched"] = difference(0.01, 0.7, 0.92, 0.99)
    for model, parameters in SIZES.items():
        result[f"memory-{model.removeprefix('mlp-')}-empirical"] = {"peak_rss_bytes": 3e7 + 16 * parameters}
    result["toy-hotdog"], result["toy-paths"] = hotdog(), paths()
    result["error-exact"] = {"seconds": 0.33}
    for kind, error in (("mc", 0.3), ("sketch", 0.06)):
        for draws in (1, 2, 4, 8, 16, 32, 64):
            for seed, factor in ((1, 1.0), (2, 0.9), (3, 1.15)):
                name = f"error-{kind}-S{draws}-seed{seed}"
                result[name] = {"seconds": 0.15 + 0.03 * draws * factor}
                result[f"diff-{name}"] = {"layers": [], "total": {"relative_error": error * factor / draws ** 0.5}}
    return result


def hotdog():
    """What `toy hotdog --prior 0.5` prints, as far as the report reads it; C = [[1, -1], [-1, 5]] without the prior."""
    ellipses = [{"of": of, "level": level, "center": [1, 3], "semi_axes": [axis * factor, factor], "angle_degrees": angle}
                for of, axis, angle in (("covariance", 5, -87), ("diagonal", 4, 90), ("covariance_without_prior", 3, -77),
                                        ("diagonal_without_prior", 2, 90)) for level, factor in ((0.68, 1), (0.95, 1.6))]
    return {"example": "hotdog", "theta": [1, 3], "sigma_h": 2, "sigma_b": 1, "prior": 0.5, "agree": True,
            "fisher": [[5.25, 0.25], [0.25, 0.25]], "covariance": [[0.2, -0.2], [-0.2, 4.2]],
            "fisher_without_prior": [[1.25, 0.25], [0.25, 0.25]], "covariance_without_prior": [[1, -1], [-1, 5]],
            "ellipses": ellipses}


def paths():
    """What `toy paths` prints, as far as the report reads it: squares for regions, straight paths."""
    def square(x, y, size):
        return [[x - size, y - size], [x + size, y - size], [x + size, y + size], [x - size, y + size]]

    def regions(x, y):
        return [{"excess": excess, "boundary": square(x, y, 10 * excess)} for excess in (0.1, 0.4, 1.2)]

    minima, ends = {"a": [0, 0], "b": [2, 2]}, {"none": [2, 2], "l2": [1, 1], "ewc": [0, 2]}
    result = {"example": "paths", "low_loss": 0.1, "minima": {task: {"theta": theta} for task, theta in minima.items()},
              "regions": {task: regions(*theta) for task, theta in minima.items()}, "ends": {},
              "paths": {name: [[0, 0], end] for name, end in ends.items()}}
    for key in ("ellipse", "ellipse_of_full_fisher"):
        result[key] = {"center": [0, 0], "semi_axes": [2, 0.5], "angle_degrees": 90}
    for name, strength, a, b in (("none", None, 2.0, -1e-9), ("l2", 0.25, 0.3, 0.2), ("ewc", 2.0, 0.07, 0.09)):
        result["ends"][name] = {"lambda": strength, "excess_a": a, "excess_b": b, "low_loss_a": a <= 0.1, "low_loss_b": b <= 0.1}
    return result


def write(folder):
    folder = pathlib.Path(folder)
    (folder / "runs").mkdir(parents=True)
    for name, content in benchmarks().items():
        (folder / f"bench-{name}.json").write_text(json.dumps({"context": CONTEXT, "benchmarks": content}))
    for isa, speed in ISA_SPEED.items():
        forced = [entry for model, size in SIZES.items() for entry in fisher(model, size, "empirical", 1, 1.0, speed)]
        (folder / f"isa-{isa}.json").write_text(json.dumps({"context": CONTEXT, "benchmarks": forced}))
    for name, content in runs().items():
        (folder / "runs" / f"{name}.json").write_text(json.dumps(content))
    (folder / "commands.tsv").write_text("compute-exact\tfisherdiag compute --estimator exact\n")
    (folder / "about.json").write_text(json.dumps({
        "mode": "quick", "date": "2024-01-01", "arch": "mlp:784-256-256-10", "train_data": "fashion-mnist:train",
        "test_data": "fashion-mnist:test", "error_data": "fashion-mnist:test", "command": "scripts/run.sh --quick",
        "bench": "build/release/bench/fisherdiag-bench"}))
    return folder
