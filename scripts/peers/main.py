"""python -m peers.main --mode quick|full|check --build DIR --work DIR --out FILE: see scripts/compare_peers.sh.

exit codes: 0 done, 1 a method disagrees or nothing could be compared, 2 usage, 130 interrupted
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time
from dataclasses import dataclass

import numpy as np

from peers import client, data, methods, passes, steps
from peers.ours import Tool, ToolError

OURS = ("ours-empirical", "ours-exact", "ours-mc")  # float32 passes, one for each estimator
# rounds, seconds a timed run takes, models
MODES = {"quick": (5, 0.2, methods.QUICK_MODELS), "full": (9, 1.0, methods.MODELS), "check": (0, 0.0, methods.MODELS)}

# Copies of the training set in the pool: the fastest methods get through 60,000 samples of a small model in no time.
POOL_COPIES = 4
# Where Fashion-MNIST's images are not of the right size.
IMAGES_OF_PRESETS = 8192
# Of 100,000 units some are always near zero. A convolution's sums are short, so its rounding errors small.
PRESET_MARGIN = 3e-6


def log(message):
    print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


@dataclass
class Source:
    """Samples with so many features, and the files of the pool that timed runs draw from."""

    inputs: np.ndarray
    labels: np.ndarray
    name: str
    pool: tuple = ()
    size: int = 0  # of the pool

    def write_pool(self, work, copies):
        self.size = len(self.inputs) * copies
        self.pool = data.write_samples(work, f"pool-{self.inputs.shape[1]}", self.inputs, self.labels, self.size)
        return self


def read_source(folder, model):
    features, preset = methods.features_of(model), methods.PRESETS.get(model)
    if preset and preset.tokens:
        return Source(*data.tokens(IMAGES_OF_PRESETS, features, preset.tokens), "random tokens")
    if features != data.FEATURES:
        return Source(*data.synthetic(IMAGES_OF_PRESETS, features=features), "synthetic samples")
    if folder:
        return Source(*data.read_images(folder), "Fashion-MNIST, training set")
    return Source(*data.synthetic(60000), "synthetic samples")


def prepare_case(tool, model, work, source):
    """Trains the model for one epoch and picks the samples all methods must agree on."""
    weights, names = work / f"{model}.safetensors", methods.tensor_names(model)
    epoch = data.write_samples(work, "epoch", source.inputs, source.labels, len(source.inputs))
    tool.train(methods.arch_of(model), *epoch, 1, weights)
    for path in epoch:
        path.unlink()
    rows = data.away_from_kinks(data.read_layers(weights, names), source.inputs, check_samples_of(model))
    return passes.Case(model, weights, source.pool, write_check(work, source, rows), work, names)


def prepare_preset(model, work, source):
    """The same with initial weights: what a pass costs does not depend on them."""
    import torch

    from peers import networks
    weights, network = work / f"{model}.safetensors", networks.initialised(model)
    names = networks.save(network, weights)
    samples = source.inputs.reshape(-1, *methods.PRESETS[model].shape)
    if methods.PRESETS[model].tokens:
        samples = samples.astype(np.int64)
    rows = data.first_beyond(lambda block: networks.margins(network, torch.from_numpy(block)), samples,
                             check_samples_of(model), margin=PRESET_MARGIN)
    return passes.Case(model, weights, source.pool, write_check(work, source, rows), work, names)


def write_check(work, source, rows):
    return data.write_samples(work, "check", source.inputs[rows], source.labels[rows], len(rows))


def check_samples_of(model):
    """Enough for every unit to matter, few enough for a loop over samples of a large model."""
    if model in methods.PRESETS:
        return 128
    return 1024 if methods.parameters_of(model) < 5_000_000 else 64


def idle_bytes(tool, work, source, cpus):
    """Peak memory of a fisherdiag process that has almost nothing to do."""
    one = data.write_samples(work, "one", source.inputs, source.labels, 2)
    weights = work / "tiny.safetensors"
    tool.train("mlp:784-1-10", *one, 1, weights)
    return tool.compute("mlp:784-1-10", weights, one, "empirical", cpus)["peak_rss_bytes"]


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_json(path, document):
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def run(options):
    rounds, seconds, models = MODES[options.mode]
    models = options.models or models
    tool, work = Tool(options.build), options.work
    work.mkdir(parents=True, exist_ok=True)
    images = read_source(options.data, methods.MODELS[0])
    sources = {data.FEATURES: images.write_pool(work, POOL_COPIES if rounds else 1)}
    everything = len(os.sched_getaffinity(0))
    document = {"mode": options.mode, "date": time.strftime("%Y-%m-%d %H:%M %Z"), "cpu": cpu_model(),
                "threads": everything, "data": images.name, "rounds": rounds,
                "versions": {"python": platform.python_version(), "numpy": np.__version__, "fisherdiag": tool.version()},
                "passes": [], "steps": []}
    for model in models:
        features = methods.features_of(model)
        source = sources.get(features) or read_source(options.data, model).write_pool(work, 1)
        sources[features] = source
        log(f"preparing {model}")
        is_preset = model in methods.PRESETS
        case = prepare_preset(model, work, source) if is_preset else prepare_case(tool, model, work, source)
        for threads in sorted({1, everything}):
            cpus = client.chosen_cpus(threads)
            settings = passes.Settings(rounds, options.seconds or seconds, source.size)
            log(f"comparing {model}, {threads} thread{'s' * (threads > 1)}")
            idle = idle_bytes(tool, work, images, cpus) if rounds else 0
            records, versions = passes.compare(tool, case, cpus, settings, idle, log)
            log_ratios(records)
            document["passes"] += records
            document["versions"].update(versions)
            if not is_preset and (threads == 1 or options.mode == "full"):
                document["steps"].append(steps.compare(tool, case, cpus, settings, log))
    return document


def log_ratios(records):
    """Ours over each other method's samples per second, for those who watch or stop early."""
    speed = {entry["estimator"]: entry["samples_per_second"] for entry in records if entry["name"] in OURS}
    for entry in records:
        rate, ours = entry["samples_per_second"], speed.get(entry["estimator"])
        if rate and ours and entry["library"] != "fisherdiag":
            log(f"  {entry['label']}: {rate:,.0f} samples/s; fisherdiag {ours:,.0f}, {ours / rate:.2f} times that")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="peers.main", description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="quick")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder with the release binaries")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for weights, samples and logs")
    parser.add_argument("--data", type=pathlib.Path, help="folder of Fashion-MNIST's files (default: synthetic samples)")
    parser.add_argument("--out", type=pathlib.Path, help="results, JSON (not written by --mode check)")
    parser.add_argument("--models", nargs="+", choices=methods.MODELS, help="only these")
    parser.add_argument("--seconds", type=float, help="length of a timed run")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    try:
        document = run(options)
    except passes.Disagreement as error:
        print(f"compare_peers: DISAGREEMENT: {error}", file=sys.stderr)
        return 1
    except (ToolError, OSError, ValueError) as error:
        print(f"compare_peers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare_peers: interrupted; nothing was written", file=sys.stderr)
        return 130
    peers = [entry for entry in document["passes"] if entry["library"] != "fisherdiag"]
    if all(entry["problem"] for entry in peers):
        print(f"compare_peers: no method of any other library ran; the first problem: {peers[0]['problem']}",
              file=sys.stderr)
        return 1
    if options.out and options.mode != "check":
        write_json(options.out, document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
