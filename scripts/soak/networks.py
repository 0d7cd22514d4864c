"""Small graphs for the tiers: convolutions with a sum, and a sequence with attention and a tensor used twice."""

import json
import math
import random

from soak.job import safetensors

CONVOLUTIONS = {"input": [2, 6, 4], "layers": [
    {"type": "conv2d", "name": "stem", "out": 6, "kernel": 3, "padding": 1, "bias": False},
    {"type": "batch_norm", "name": "bn"}, {"type": "relu", "name": "r"},
    {"type": "conv2d", "name": "c", "out": 6, "kernel": 3, "padding": 1},
    {"type": "add", "name": "sum", "from": ["c", "r"]}, {"type": "max_pool2d", "kernel": 2},
    {"type": "flatten"}, {"type": "linear", "name": "head", "out": 4}]}
SEQUENCE = {"sequence": [4], "layers": [
    {"type": "embedding", "name": "table", "tokens": 5, "out": 6},
    {"type": "positional_embedding", "name": "place"},
    {"type": "linear", "name": "in_proj", "out": 18},
    {"type": "attention", "heads": 2, "causal": True},
    {"type": "linear", "name": "out_proj", "out": 6},
    {"type": "add", "from": ["out_proj", "place"]},
    {"type": "layer_norm", "name": "norm"},
    {"type": "linear", "name": "head", "out": 5, "weight": "table.weight", "bias": False}]}
SHAPES = {
    "convolutions": {"stem.weight": [6, 2, 3, 3], "bn.weight": [6], "bn.bias": [6], "bn.running_mean": [6],
                     "bn.running_var": [6], "c.weight": [6, 6, 3, 3], "c.bias": [6], "head.weight": [4, 36],
                     "head.bias": [4]},
    "sequence": {"table.weight": [5, 6], "place.weight": [4, 6], "in_proj.weight": [18, 6], "in_proj.bias": [18],
                 "out_proj.weight": [6, 6], "out_proj.bias": [6], "norm.weight": [6], "norm.bias": [6]}}


def write(job):
    """Architecture and weights of each, `NAME.json` and `NAME.safetensors`; returns the names."""
    source = random.Random(11)
    for name, architecture in (("convolutions", CONVOLUTIONS), ("sequence", SEQUENCE)):
        job.write(name + ".json", json.dumps(architecture).encode())
        # Variances must be positive: all values are.
        job.write(name + ".safetensors", safetensors([
            (tensor, shape, [source.uniform(0.1, 1) for _ in range(math.prod(shape))])
            for tensor, shape in SHAPES[name].items()]))
    return list(SHAPES)
