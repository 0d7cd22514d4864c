"""One system call fails: each kind of call, each error, the first, the second, ... until there are no more."""

import re
import shutil

from soak.job import OLD, Finding

CALLS = ("openat", "read", "pread64", "write", "fsync", "renameat2", "rename", "close", "mmap")
ERRORS = ("ENOSPC", "EIO", "EINTR", "EMFILE", "ENOMEM")


def inject(job, call, error, when, command):
    """Runs the command under strace; returns (result, number of calls that were made to fail)."""
    log = job.path("strace.log")
    done = job.run(["strace", "-f", "-q", "-o", log, "-e", "trace=" + call, "-e",
                    "inject=%s:error=%s:when=%s" % (call, error, when), *command])
    with open(log, encoding="utf-8", errors="replace") as file:
        injected = len(re.findall(r"\(INJECTED\)", file.read()))
    job.remove("strace.log")
    return done, injected


def attempt(job, call, error, when, command, expected):
    job.write("F.safetensors", OLD)
    job.remove("F.ckpt")
    done, injected = inject(job, call, error, when, command)
    what = "%s %s at call %s" % (call, error, when)
    if injected:
        job.check_after_failure(done, expected, what)
        job.check_rerun(command, expected, what)
    elif done.returncode != 0:
        raise Finding("%s: without a fault exit code %d, %s" % (what, done.returncode, done.stderr.decode()))
    return done, injected


def run(job, options):
    if not shutil.which("strace"):
        return None, ["strace is not installed"]
    command = job.compute("--threads", "2", "--checkpoint", "F.ckpt", "--checkpoint-every", "0", "--resume", "-o",
                          "F.safetensors")
    job.json(command)
    expected = job.read("F.safetensors")
    findings, total, failed, survived = [], 0, 0, 0
    per_call = {}
    for call in CALLS:
        for error in ERRORS:
            # The first mapping is the dynamic loader's, which crashes without it before main begins.
            when = 1 if call == "mmap" else 0
            while when < options.most_calls:
                when += 1
                injected = 0
                # Once, and for ever from then on; a call that is interrupted for ever never ends.
                for kind in (str(when),) if error == "EINTR" else (str(when), "%d+" % when):
                    try:
                        done, injected = attempt(job, call, error, kind, command, expected)
                    except Finding as finding:
                        findings.append(str(finding))
                        injected = 1
                    else:
                        failed += injected > 0 and done.returncode != 0
                        survived += injected > 0 and done.returncode == 0
                    if not injected:
                        break
                    total += 1
                    per_call[call] = per_call.get(call, 0) + 1
                if not injected:
                    break
    counts = ", ".join("%s %d" % item for item in per_call.items())
    return "%d runs with injected faults (%s): %d failed cleanly, %d went on and were right" % (
        total, counts, failed, survived), findings
