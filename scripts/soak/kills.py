"""SIGKILL at random moments; the job goes on from its checkpoint until it is done."""

import random
import subprocess
import time

from soak.job import OLD, Finding

SAMPLES = 400000


def run(job, options):
    source = random.Random(options.seed)
    plain = job.compute("--threads", "2", "-o", "F.safetensors", synthetic=SAMPLES)
    begin = time.monotonic()
    sha256 = job.json(plain)["sha256"]
    duration = time.monotonic() - begin
    expected = job.read("F.safetensors")
    findings, kills, jobs, with_checkpoint, orphans = [], 0, 0, 0, 0
    while kills < options.kills:
        jobs += 1
        job.remove("F.ckpt")
        job.write("F.safetensors", OLD)
        for _ in range(8):
            process = subprocess.Popen(
                job.compute("--threads", str(source.choice([1, 2, 3])), "--checkpoint", "F.ckpt", "--checkpoint-every",
                            "%dms" % source.choice([0, 5, 20]), "--resume", "-o", "F.safetensors", synthetic=SAMPLES),
                cwd=job.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(source.uniform(0, 1.3 * duration))
            process.kill()
            text = process.communicate()[1].decode()
            if process.returncode > 0:
                findings.append("job %d: exit code %d before the kill: %s" % (jobs, process.returncode, text))
            if process.returncode >= 0:
                break
            kills += 1
            with_checkpoint += job.read("F.ckpt") is not None
            if job.read("F.safetensors") not in (OLD, expected):
                findings.append("job %d: a half-written output" % jobs)
        orphans += len(job.temporary_files())
        job.remove(*job.temporary_files())
        try:
            result = job.json(job.compute("--checkpoint", "F.ckpt", "--resume", "-o", "F.safetensors", synthetic=SAMPLES))
            if result["sha256"] != sha256 or job.read("F.safetensors") != expected:
                findings.append("job %d: another result after going on" % jobs)
        except Finding as finding:
            findings.append("job %d: %s" % (jobs, finding))
    return "%d kills in %d jobs, %d of them with a checkpoint to go on from; %d temporary files of killed writers" % (
        kills, jobs, with_checkpoint, orphans), findings
