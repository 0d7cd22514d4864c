"""An allocation fails, once or with all later ones: the first of every call stack, and some with two threads.

A process allocates more than ten thousand times, many of them from the same place: every number would take too long.
"""

import os
import pathlib
import shutil
import subprocess

from soak.job import OLD, Finding

MOST_STACKS = 10000
LATER_TOO = 1000       # of these stacks, also with all later allocations
WITH_TWO_THREADS = 200


def spread(numbers, most):
    """At most `most` of them, evenly."""
    return numbers if len(numbers) <= most else [numbers[i * len(numbers) // most] for i in range(most)]


def build_library(job):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    library = job.path("failing_malloc.so")
    source = pathlib.Path(__file__).with_name("failing_malloc.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, str(source)], check=True)
    return library


def run(job, options):
    library = build_library(job)
    if not library:
        return None, ["there is no C compiler"]
    findings, failed, survived = [], 0, 0

    def preloaded(command, **variables):
        return job.run(command, env=dict(os.environ, LD_PRELOAD=library, **variables))

    def allocations(command, **variables):
        """Numbers of the first allocation of each call stack, where asked for, and of the last of all."""
        preloaded(command, FAIL_LOG=job.path("allocations.log"), **variables)
        return sorted(map(int, job.read("allocations.log").split()))

    def fail_at(command, expected, numbers, **variables):
        nonlocal failed, survived
        for number in numbers:
            job.write("F.safetensors", OLD)
            done = preloaded(command, FAIL_AT=str(number), **variables)
            try:
                job.check_after_failure(done, expected, "allocation %d %s" % (number, " ".join(variables)))
            except Finding as finding:
                findings.append(str(finding))
            failed += done.returncode != 0
            survived += done.returncode == 0

    commands = [job.compute("--max-samples", "300", "--threads", threads, "-o", "F.safetensors") for threads in "12"]
    job.json(commands[0])
    expected = job.read("F.safetensors")
    *firsts, total = allocations(commands[0], FAIL_STACKS="1")
    chosen = spread(firsts, MOST_STACKS)
    fail_at(commands[0], expected, chosen)
    fail_at(commands[0], expected, spread(chosen, LATER_TOO), FAIL_ON="1")
    fail_at(commands[1], expected, spread(range(1, allocations(commands[1])[-1] + 1), WITH_TWO_THREADS))
    return "%d allocations from %d call stacks, %d of them failing: %d runs failed cleanly, %d went on and were right" % (
        total, len(firsts), len(chosen), failed - len(findings), survived), findings
