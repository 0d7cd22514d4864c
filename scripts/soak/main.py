"""Runs tiers and says what they found."""

import argparse
import datetime
import os
import subprocess
import sys
import time

from soak import allocations, determinism, emulation, faults, kills, stream
from soak.job import Job

MOST_SHOWN = 20


def long_sum(job, options):
    """The hidden test of 10^8 samples."""
    test = os.path.join(options.build_dir, "tests", "test_fisher")
    if not os.path.exists(test):
        return None, ["%s is not built" % test]
    done = subprocess.run([test, "[long-sum]"], capture_output=True, text=True, check=False)
    findings = [] if done.returncode == 0 else [done.stdout[-2000:]]
    return " ".join(line for line in done.stderr.splitlines() if "relative error" in line), findings


TIERS = {"faults": faults.run, "kills": kills.run, "determinism": determinism.run, "allocations": allocations.run,
         "sum": long_sum, "emulation": emulation.run, "stream": stream.run}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("tiers", nargs="*")
    parser.add_argument("--build-dir", required=True)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most-calls", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    tool = os.path.join(os.path.abspath(options.build_dir), "src", "cli", "fisherdiag")
    found = 0
    for tier in options.tiers or [name for name in TIERS if name != "stream"]:
        job = Job(tool)
        begin = time.monotonic()
        try:
            summary, findings = TIERS[tier](job, options)
        finally:
            job.close()
        found += len(findings)
        print("%s  %s: %s; %d findings, %.0f s" % (datetime.date.today(), tier, summary or "not run", len(findings),
                                                   time.monotonic() - begin), flush=True)
        for finding in findings[:MOST_SHOWN]:
            print("  " + finding.replace("\n", " "), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
