"""fisherdiag itself, run as a user would."""

import json
import os
import re
import subprocess

from fisherdiag_report import benchmark_json


class ToolError(Exception):
    """The tool failed; the text is its own sentence."""


class Tool:
    def __init__(self, build):
        self.path = build / "src" / "cli" / "fisherdiag"
        self.bench = build / "bench" / "fisherdiag-bench"

    def _run(self, program, *arguments, cpus=None):
        bind = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
        result = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False,
                                preexec_fn=bind)
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or [f"{program} ended with code {result.returncode}"]
            raise ToolError(lines[-1])
        return result.stdout

    def train(self, arch, x, y, epochs, out):
        self._run(self.path, "train", "--arch", arch, "--data", x, "--labels", y, "--epochs", epochs, "--seed", 1,
                  "-o", out, "--quiet")

    def compute(self, arch, weights, samples, estimator, cpus, out=None, options=()):
        """What `compute --json` prints; `samples` is the pair of files."""
        arguments = ["--arch", arch, "--weights", weights, "--data", samples[0], "--labels", samples[1],
                     "--estimator", estimator, "--threads", len(cpus), "--json", "--quiet", *options]
        return json.loads(self._run(self.path, "compute", *arguments, *(["-o", out] if out else []), cpus=cpus))

    def penalty_gradient(self, weights, anchor, fisher, strength, out):
        self._run(self.path, "penalty", "--weights", weights, "--anchor", anchor, "--fisher", fisher,
                  "--lambda", strength, "--grad-out", out, "--quiet")

    def steps(self, model, cpus):
        """Seconds of one training step without and with a merged penalty, one measured after the other."""
        name = f"step/{model}/{{}}/threads:{len(cpus)}"
        pattern = "^" + name.format("(none|ewc-merged)") + "(/|$)"
        text = self._run(self.bench, f"--benchmark_filter={pattern}", "--benchmark_format=json",
                         "--benchmark_min_time=0.1", cpus=cpus)
        series = benchmark_json.series_of(json.loads(text), str(self.bench))
        try:
            return series[name.format("none")].median(), series[name.format("ewc-merged")].median()
        except KeyError as error:
            raise ToolError(f"{self.bench} has no benchmark {error}") from error

    def has_bf16(self):
        """Whether this build offers --precision bf16; whether this machine does, only a run tells."""
        return bool(re.search(r"--precision\b", self._run(self.path, "compute", "--help")))

    def version(self):
        return self._run(self.path, "--version").strip()
