"""Processors without AVX-512, and without AVX, under qemu-user: the level each gets, and its bits natively."""

import shutil

from soak.job import Finding

# Models of qemu, and the best level of ours that they have.
PROCESSORS = {"Haswell": "avx2", "max": "avx2", "Nehalem": "baseline", "qemu64": "baseline"}
ESTIMATORS = ("empirical", "exact", "mc", "sketch", "predicted", "batched")


def run(job, options):
    del options
    emulator = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if not emulator:
        return None, ["qemu-x86_64 is missing; install qemu-user"]
    findings, runs = [], 0
    for estimator in ESTIMATORS:
        command = [estimator if word == "mc" else word for word in job.compute("--threads", "2")]
        native = {isa: job.json(command + ["--isa", isa])["sha256"] for isa in set(PROCESSORS.values())}
        for processor, isa in PROCESSORS.items():
            runs += 1
            try:
                result = job.json([emulator, "-cpu", processor] + command)
            except Finding as finding:
                findings.append("%s: %s" % (processor, finding))
                continue
            if result["isa"] != isa or result["sha256"] != native[isa]:
                findings.append("%s, %s: %s with other bits than %s here" % (processor, estimator, result["isa"], isa))
    refused = job.run([emulator, "-cpu", "Nehalem"] + job.compute("--isa", "avx2"))
    if refused.returncode != 2 or b"not available" not in refused.stderr:
        findings.append("avx2 on Nehalem: exit code %d, %s" % (refused.returncode, refused.stderr.decode()))
    return "%d runs on %d processors equal to the native ones of their level" % (runs, len(PROCESSORS)), findings
