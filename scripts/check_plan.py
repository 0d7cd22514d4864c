#!/usr/bin/env python3
"""Compares what `fisherdiag plan` predicts with what `fisherdiag compute` then takes, for five models.

Run it on an idle machine. Exit code 1 if a time is off by more than 20% or a memory by more than 10%.
"""

import argparse
import array
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile

MODELS = ["784-32-10", "784-256-256-10", "784-400-400-10", "784-1024-1024-10", "784-4096-4096-10"]
TIME_TOLERANCE = 0.20
MEMORY_TOLERANCE = 0.10


def default_tool():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.environ.get("FISHERDIAG_TOOL", os.path.join(root, "build", "release", "src", "cli", "fisherdiag"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default=default_tool())
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--threads", nargs="+", default=["1", "2"])
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--estimator", default="empirical")
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many runs, in turn")
    return parser.parse_args()


def write_weights(path, sizes):
    """Uniform in +-1/sqrt(inputs), from a pool: what a pass costs does not depend on the digits."""
    generator = random.Random(1)
    pool = [2 * generator.random() - 1 for _ in range(65521)]
    header, parts, offset = {}, [], 0
    for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        scaled = array.array("f", (value / inputs**0.5 for value in pool))
        for name, shape, count in (("weight", [outputs, inputs], inputs * outputs), ("bias", [outputs], outputs)):
            data = (scaled * (count // len(scaled) + 1))[:count].tobytes()
            header["%d.%s" % (2 * layer, name)] = {"dtype": "F32", "shape": shape,
                                                   "data_offsets": [offset, offset + len(data)]}
            parts.append(data)
            offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(parts)


def run_tool(tool, *words):
    done = subprocess.run([tool, *words, "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("check_plan.py: %s" % done.stderr.strip())
    return json.loads(done.stdout)


def check(arguments, model, threads, folder):
    """Prints one line; True if the plan holds."""
    weights = os.path.join(folder, model + ".safetensors")
    write_weights(weights, [int(size) for size in model.split("-")])
    common = ["--arch", "mlp:" + model, "--threads", threads, "--estimator", arguments.estimator]
    output = os.path.join(folder, "F.safetensors")
    plans, runs = [], []
    for _ in range(arguments.repeats):
        plans.append(run_tool(arguments.tool, "plan", *common, "--samples", str(arguments.samples)))
        runs.append(run_tool(arguments.tool, "compute", *common, "--weights", weights, "--data",
                             "synthetic:%d" % arguments.samples, "-o", output))

    def median(results, key):
        return statistics.median(result[key] for result in results)

    planned, measured = median(plans, "seconds"), median(runs, "seconds")
    planned_memory, memory = median(plans, "peak_bytes") / 2**20, median(runs, "peak_rss_bytes") / 2**20
    good = abs(planned / measured - 1) <= TIME_TOLERANCE and abs(planned_memory / memory - 1) <= MEMORY_TOLERANCE
    print("%-18s %7s %10.4f %10.4f %7.3f %10.1f %10.1f %7.3f  %s" %
          (model, threads, planned, measured, planned / measured, planned_memory, memory, planned_memory / memory,
           "ok" if good else "OFF"), flush=True)
    return good


def main():
    arguments = parse_arguments()
    print("%-18s %7s %10s %10s %7s %10s %10s %7s" % ("model", "threads", "plan s", "compute s", "ratio", "plan MiB",
                                                    "RSS MiB", "ratio"))
    good = True
    for threads in arguments.threads:
        for model in arguments.models:
            with tempfile.TemporaryDirectory(prefix="fisherdiag-plan-") as folder:
                good = check(arguments, model, threads, folder) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
