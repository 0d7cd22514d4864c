"""One method in one process: `python -m peers.worker` takes a JSON command per line and answers each with a line.

The first command is {"do": "start", "spec": SPEC}; SPEC has module, method, weights (a file) and names of its tensors,
x and y (npy files), threads and, for one, the name of a preset. The others are the methods of Worker.
"""

import importlib
import json
import os
import sys
import time
import traceback

import numpy as np

from peers import data, memory

# So long, at least, a batch size is tried for before its speed is believed.
TUNING_SECONDS = 0.15


class Worker:
    def __init__(self, spec):
        if spec["module"] != "jax":
            import torch
            torch.set_num_threads(spec["threads"])
            torch.set_num_interop_threads(1)
        module = importlib.import_module(f"peers.{spec['module']}_methods")
        self.versions = module.VERSIONS
        tensors = data.read_tensors(spec["weights"], spec["names"])
        extra = {key: data.read_tensors(spec[key], spec["names"]) for key in ("anchor", "fisher") if key in spec}
        if "preset" in spec:
            extra.update(preset=spec["preset"], weights=spec["weights"])
        self.method = module.METHODS[spec["method"]](tensors, **extra)
        self.x, self.y = np.load(spec["x"], mmap_mode="r"), np.load(spec["y"])
        self.loaded = None

    def rows(self, count):
        return self.method.load(np.array(self.x[:count]), np.array(self.y[:count]))

    def agree(self, x, y, batch, replicates, out):
        """Writes the mean-normalised diagonal, averaged over replicates, to `out`."""
        inputs, labels = np.load(x), np.load(y)
        loaded = self.method.load(inputs, labels)
        mean, traces, squared_norms = 0.0, [], []
        for seed in range(1, replicates + 1):
            self.method.seed(seed)
            sums = self.method.run(*loaded, min(batch, len(inputs)))
            values = data.flat(self.method.arrays(sums)) / len(inputs)
            mean = mean + values / replicates
            traces.append(float(values.sum()))
            squared_norms.append(float(np.dot(values, values)))
        np.save(out, mean)
        return {"traces": traces, "squared_norms": squared_norms}

    def penalty_gradient(self, out):
        np.save(out, data.flat(self.method.penalty_gradient()))
        return {}

    def tune(self, batches):
        """The fastest of the batch sizes: its samples (or steps) per second and the memory its passes take.

        Memory is the most bytes resident beyond libraries, weights and samples. Sizes ascend, so what an allocator keeps
        from one is no more than the next needs anyway.
        """
        self.method.run(*self.rows(1), 1)  # what libraries load and build on first use is not the method's
        resident, best = memory.settle(), None
        for batch in sorted(batches):
            count = getattr(self.method, "samples", batch)
            loaded = self.rows(count)
            memory.settle()
            self.method.run(*loaded, batch)
            passes, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < TUNING_SECONDS:
                self.method.run(*loaded, batch)
                passes += 1
            rate = passes * batch / (time.perf_counter() - begin)
            if best is None or rate > best["rate"]:
                held = memory.peak() - resident - count * (self.x.shape[1] + 2) * 4
                best = {"batch": batch, "rate": rate, "memory_bytes": max(held, 0)}
        return best

    def prepare(self, samples, batch):
        """Loads the samples and runs once to warm up."""
        self.loaded, self.batch = self.rows(samples), batch
        self.method.run(*self.loaded, batch)
        return {"samples": len(self.loaded[0])}

    def run(self):
        begin = time.perf_counter()
        self.method.run(*self.loaded, self.batch)
        return {"seconds": time.perf_counter() - begin}


def answer(state, command):
    """Carries out one command; the first must be `start` with the SPEC."""
    name = command.pop("do")
    if name == "start":
        state["worker"] = Worker(command["spec"])
        return {"versions": state["worker"].versions}
    return getattr(state["worker"], name)(**command)


def main():
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state = {}
    for line in sys.stdin:
        try:
            reply = answer(state, json.loads(line))
        except Exception as error:  # whatever a library raises is this method's result
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
