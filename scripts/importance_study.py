#!/usr/bin/env python3
"""Measures what a subset costs and how far its F is from that of all data (docs/sampling.md).

    scripts/importance_study.py --tool build/release/src/cli/fisherdiag
    scripts/importance_study.py --weights W.safetensors --seeds 10 --sizes 500 --json study.json

Runs `fisherdiag compute` on one thread for every estimator, subset, size and seed, and prints Markdown tables: variance
of F by importance over variance by uniform, the trace's standard error as estimated and as it is, and the time of
`exact` by importance at 2% normwise error against the full pass. Without --weights it trains 784-256-256-10 for 6
epochs first. Needs numpy, which /usr/bin/python3 has on Debian with python3-numpy.

exit codes: 0 done, 1 a target is missed, 2 usage, 3 the tool failed
"""

import argparse
import datetime
import json
import math
import pathlib
import shlex
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[1]
ARCH = "mlp:784-256-256-10"
# Largest acceptable variance by importance over variance by uniform, and time at 2% error over time of the full pass.
VARIANCE_TARGETS = {"empirical": 1 / 4, "exact": 1 / 2}
ERROR_TARGET = 0.02
TIME_TARGET = 1 / 2
FIRST_SIZE = 512


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default=str(ROOT / "build/release/src/cli/fisherdiag"))
    parser.add_argument("--weights", help="default: trained here")
    parser.add_argument("--data", default="fashion-mnist:train")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 6000])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--until", type=float, nargs="*", default=[0.01])
    parser.add_argument("--json", help="write every figure here")
    return parser.parse_args(arguments)


class Tool:
    """Runs the tool on one thread; F is read back from a scratch folder."""

    def __init__(self, options, folder):
        self.tool, self.data, self.folder = options.tool, options.data, pathlib.Path(folder)
        self.weights = options.weights or str(self.folder / "W.safetensors")

    def run(self, *arguments):
        command = [self.tool, *arguments, "--json", "--quiet", "--threads", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(f"{shlex.join(command)}\n{done.stderr}")
            sys.exit(3)
        return json.loads(done.stdout)

    def train(self):
        self.run("train", "--arch", ARCH, "--data", self.data, "--epochs", "6", "--seed", "1", "-o", self.weights)

    def compute(self, estimator, *arguments):
        """(JSON, F as one vector)"""
        output = self.folder / "F.safetensors"
        result = self.run("compute", "--arch", ARCH, "--weights", self.weights, "--data", self.data, "--estimator",
                          estimator, *arguments, "-o", str(output))
        content = output.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        return result, numpy.frombuffer(content[8 + length:], dtype="<f4").astype(numpy.float64)


def root_mean_square(values):
    return math.sqrt(statistics.fmean(value * value for value in values))


def summary(results, full):
    """Errors of repeated runs [(JSON, F)] against the full one."""
    full_result, full_f = full
    trace = full_result["trace"]
    errors = [float(numpy.linalg.norm(f - full_f) / numpy.linalg.norm(full_f)) for _, f in results]
    deviations = [result["trace"] - trace for result, _ in results]
    estimated = [result["trace_standard_error"] for result, _ in results]
    return {
        "runs": len(results),
        "samples": statistics.fmean(result["samples"] for result, _ in results),
        "normwise_error": root_mean_square(errors),
        "trace_error": root_mean_square(deviations) / trace,
        "trace_standard_error": root_mean_square(estimated) / trace,
        "within_two": statistics.fmean(abs(d) <= 2 * e for d, e in zip(deviations, estimated)),
        "seconds": statistics.median(result["seconds"] for result, _ in results),
    }


def repeated(tool, estimator, arguments, seeds, full):
    return summary([tool.compute(estimator, *arguments, "--seed", str(seed)) for seed in range(1, seeds + 1)], full)


def table(header, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


def percent(value):
    return f"{100 * value:.2g}%" if value < 0.1 else f"{100 * value:.0f}%"


def measure_subsets(tool, options, fulls):
    figures = []
    for estimator, full in fulls.items():
        for size in options.sizes:
            kinds = {how: repeated(tool, estimator, ["--subset", f"{how}:{size}"], options.seeds, full)
                     for how in ("uniform", "importance")}
            ratio = (kinds["importance"]["normwise_error"] / kinds["uniform"]["normwise_error"]) ** 2
            figures.append({"estimator": estimator, "size": size, "variance_ratio": ratio, **kinds})
    return figures


def print_subsets(figures):
    print(table(["estimator", "samples", "normwise error, uniform", "importance", "variance ratio", "target"],
                [[f["estimator"], f"{f['size']:,}", percent(f["uniform"]["normwise_error"]),
                  percent(f["importance"]["normwise_error"]), f"{f['variance_ratio']:.3f}",
                  f"≤ {VARIANCE_TARGETS[f['estimator']]:.2f}"] for f in figures]))
    rows = []
    for f in figures:
        for how in ("uniform", "importance"):
            g = f[how]
            rows.append([f["estimator"], f"{f['size']:,}", how, percent(g["trace_error"]),
                         percent(g["trace_standard_error"]), percent(g["within_two"])])
    print(table(["estimator", "samples", "subset", "error of the trace", "estimated", "within 2 estimated"], rows))


def measure_until(tool, options, fulls):
    rows = []
    for estimator, full in fulls.items():
        for error in options.until:
            for how in ("uniform", "importance"):
                figures = repeated(tool, estimator, ["--subset", how, "--until", str(error)], options.seeds, full)
                rows.append({"estimator": estimator, "until": error, "subset": how, **figures})
    return rows


def print_until(figures):
    print(table(["estimator", "--until", "subset", "samples, mean", "error of the trace", "normwise error"],
                [[f["estimator"], f"{f['until']:g}", f["subset"], f"{f['samples']:,.0f}", percent(f["trace_error"]),
                  percent(f["normwise_error"])] for f in figures]))


def measure_time(tool, options, full):
    """The smallest power of two times 512 with a normwise error of at most 2%, timed against full passes in between."""
    size = FIRST_SIZE
    while repeated(tool, "exact", ["--subset", f"importance:{size}"], options.seeds, full)["normwise_error"] > ERROR_TARGET:
        size *= 2
    fulls, subsets = [], []
    for seed in range(1, options.seeds + 1):
        fulls.append(tool.compute("exact")[0]["seconds"])
        subsets.append(tool.compute("exact", "--subset", f"importance:{size}", "--seed", str(seed)))
    result = summary(subsets, full)
    return {"size": size, "normwise_error": result["normwise_error"], "seconds": result["seconds"],
            "full_seconds": statistics.median(fulls), "ratio": result["seconds"] / statistics.median(fulls)}


def main(arguments):
    options = parse_arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="importance-study-") as folder:
        tool = Tool(options, folder)
        if not options.weights:
            tool.train()
        fulls = {estimator: tool.compute(estimator) for estimator in VARIANCE_TARGETS}
        machine = tool.run("machine")
        print(f"{datetime.date.today()}, {machine['cpu']}, {fulls['exact'][0]['isa']}, "
              f"1 thread; {options.data}, {ARCH}, {options.seeds} seeds\n")
        subsets = measure_subsets(tool, options, fulls)
        print_subsets(subsets)
        until = measure_until(tool, options, fulls)
        print_until(until)
        time = measure_time(tool, options, fulls["exact"])
        print(f"`exact` at {percent(time['normwise_error'])} normwise error: importance:{time['size']}, "
              f"{time['seconds']:.3f} s; all data {time['full_seconds']:.3f} s; ratio {time['ratio']:.2f}, "
              f"target ≤ {TIME_TARGET:.2f}")
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps({"subsets": subsets, "until": until, "time": time}, indent=2) + "\n", encoding="utf-8")
    missed = time["ratio"] > TIME_TARGET or any(f["variance_ratio"] > VARIANCE_TARGETS[f["estimator"]] for f in subsets)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
