"""The N-th allocation fails, once and for ever from then on, for every N."""

import os
import pathlib
import shutil
import subprocess

from soak.job import OLD, Finding


def run(job, options):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None, ["there is no C compiler"]
    library = job.path("failing_malloc.so")
    source = pathlib.Path(__file__).with_name("failing_malloc.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, str(source)], check=True)
    command = job.compute("--threads", "2", "-o", "F.safetensors")
    job.json(command)
    expected = job.read("F.safetensors")
    log = job.path("allocations.log")
    job.run(command, env=dict(os.environ, LD_PRELOAD=library, FAIL_LOG=log))
    total = int(job.read("allocations.log"))
    findings, failed, survived = [], 0, 0
    for number in range(1, min(total, options.most_calls) + 1):
        for variables in ({}, {"FAIL_ON": "1"}):
            job.write("F.safetensors", OLD)
            done = job.run(command, env=dict(os.environ, LD_PRELOAD=library, FAIL_AT=str(number), **variables))
            what = "allocation %d%s" % (number, " and later" if variables else "")
            try:
                job.check_after_failure(done, expected, what)
            except Finding as finding:
                findings.append(str(finding))
            failed += done.returncode != 0
            survived += done.returncode == 0
    return "%d allocations, each failing once and with all later ones: %d runs failed cleanly, %d went on and were right" % (
        min(total, options.most_calls), failed - len(findings), survived), findings
