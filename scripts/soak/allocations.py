"""An allocation fails, once or with all later ones: the first of every call stack, and some with two threads.

A process allocates more than ten thousand times, many of them from the same place: every number would take too long.
"""

import json
import os
import pathlib
import shutil
import subprocess

from soak.job import OLD, Finding

MOST_STACKS = 10000
LATER_TOO = 1000       # of these stacks, also with all later allocations
WITH_TWO_THREADS = 200
OF_A_VERB = 1000       # stacks of each verb but compute ...
WHILE_PRINTING = 100   # ... and its last ones, which make the JSON
OUTPUT = "out.safetensors"


def spread(numbers, most):
    """At most `most` of them, evenly, the last among them."""
    return numbers if len(numbers) <= most else [numbers[(i + 1) * len(numbers) // most - 1] for i in range(most)]


def build_library(job):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    library = job.path("failing_malloc.so")
    source = pathlib.Path(__file__).with_name("failing_malloc.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, str(source)], check=True)
    return library


def other_verbs(job):
    """A command of each verb that takes a moment; all print JSON, some write OUTPUT."""
    weights = ["--weights", "W.safetensors"]
    model = ["--arch", "mlp:20-16-5", "--data", "X.npy", "--labels", "Y.npy"]
    commands = {
        "info": ["F.safetensors"],
        "diff": ["F.safetensors", "F2.safetensors"],
        "merge": ["F.safetensors", "F2.safetensors", "--decay", "1", "--force", "-o", OUTPUT],
        "penalty": [*weights, "--anchor", "W.safetensors", "--fisher", "F.safetensors", "--lambda", "10", "--grad-out", OUTPUT],
        "plan": [*weights, *model],
        "check": [*weights, *model, "--samples", "2"],
        "train": [*model, "--epochs", "1", "-o", OUTPUT],
        "continual": ["--tasks", "A-then-B", "--task-a", "synthetic:40", "--task-b", "synthetic:40", "--arch", "mlp:20-6-5",
                      "--methods", "none,ewc-online:exact", "--lambda", "10", "--iterations", "3"],
        "toy": ["hotdog", "--mc-samples", "1000"]}
    return {verb: [job.tool, verb, *more, "--threads", "1", "--json", "--quiet"] for verb, more in commands.items()}


def keys(value):
    """What a verb printed without its values, some of which are times."""
    if isinstance(value, dict):
        return {key: keys(part) for key, part in value.items()}
    return [keys(part) for part in value] if isinstance(value, list) else None


class Tier:
    def __init__(self, job, library):
        self.job, self.library = job, library
        self.findings, self.failed, self.survived = [], 0, 0

    def preloaded(self, command, **variables):
        return self.job.run(command, env=dict(os.environ, LD_PRELOAD=self.library, **variables))

    def allocations(self, command, **variables):
        """Numbers of the first allocation of each call stack, where asked for, and of the last of all."""
        self.preloaded(command, FAIL_LOG=self.job.path("allocations.log"), **variables)
        return sorted(map(int, self.job.read("allocations.log").split()))

    def fail_at(self, command, numbers, check, **variables):
        for number in numbers:
            what = "%s, allocation %d %s" % (command[1], number, " ".join(variables))
            try:
                done = self.preloaded(command, FAIL_AT=str(number), **variables)
                check(done, what)
                if done.returncode != 0 and b"error: " not in done.stderr:
                    raise Finding("%s: exit code %d without a sentence" % (what, done.returncode))
            except (Finding, subprocess.TimeoutExpired) as finding:
                self.findings.append(str(finding))
                continue
            self.failed += done.returncode != 0
            self.survived += done.returncode == 0

    def compute(self):
        commands = [self.job.compute("--max-samples", "300", "--threads", threads, "-o", OUTPUT) for threads in "12"]
        self.job.json(commands[0])
        expected = self.job.read(OUTPUT)

        def check(done, what):
            self.job.check_after_failure(done, expected, what, OUTPUT)
            self.job.write(OUTPUT, OLD)

        self.job.write(OUTPUT, OLD)
        *firsts, total = self.allocations(commands[0], FAIL_STACKS="1")
        chosen = spread(firsts, MOST_STACKS)
        self.fail_at(commands[0], chosen, check)
        self.fail_at(commands[0], spread(chosen, LATER_TOO), check, FAIL_ON="1")
        self.fail_at(commands[1], spread(range(1, self.allocations(commands[1])[-1] + 1), WITH_TWO_THREADS), check)
        return "%d of %d call stacks of %d allocations of compute" % (len(chosen), len(firsts), total)

    def verb(self, command):
        expected_keys = keys(self.job.json(command))
        expected = self.job.read(OUTPUT) if OUTPUT in command else OLD

        def check(done, what):
            self.job.check_after_failure(done, expected, what, OUTPUT)
            if done.returncode == 0 and keys(json.loads(done.stdout)) != expected_keys:
                raise Finding(what + ": success without all that is printed")
            self.job.write(OUTPUT, OLD)

        self.job.write(OUTPUT, OLD)
        firsts = self.allocations(command, FAIL_STACKS="1")[:-1]
        chosen = sorted({*spread(firsts, OF_A_VERB), *firsts[-WHILE_PRINTING:]})
        self.fail_at(command, chosen, check)
        return len(chosen)


def run(job, options):
    library = build_library(job)
    if not library:
        return None, ["there is no C compiler"]
    tier = Tier(job, library)
    words = tier.compute()
    for name, estimator in (("F.safetensors", "mc"), ("F2.safetensors", "exact")):
        job.json([estimator if word == "mc" else word for word in job.compute("-o", name)])
    of_verbs = ["%s %d" % (verb, tier.verb(command)) for verb, command in other_verbs(job).items()]
    return "%s, %s of other verbs failing: %d runs failed cleanly, %d went on and were right" % (
        words, ", ".join(of_verbs), tier.failed, tier.survived), tier.findings
