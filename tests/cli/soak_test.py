"""The tiers of scripts/soak.sh work: a few rounds of those that take no time."""

import os
import shutil
import subprocess
import sys
import unittest

import support

SOURCE = os.environ.get("FISHERDIAG_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "scripts"))

from soak import allocations, determinism, faults, kills  # noqa: E402
from soak.job import Job  # noqa: E402


class Options:
    kills = 4
    seed = 5
    most_calls = 1
    repeats = 1


class SoakTest(unittest.TestCase):
    def run_tier(self, tier):
        job = Job(support.TOOL)
        self.addCleanup(job.close)
        summary, findings = tier(job, Options)
        self.assertEqual(findings, [])
        return summary

    def test_kills(self):
        self.assertRegex(self.run_tier(kills.run), r"^[4-9]|[1-9]\d kills")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    @unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "the sanitizers have their own malloc")
    def test_allocations(self):
        all_verbs = allocations.other_verbs
        for name, value in [("MOST_STACKS", 8), ("LATER_TOO", 4), ("WITH_TWO_THREADS", 4), ("OF_A_VERB", 4),
                            ("WHILE_PRINTING", 60), ("other_verbs", lambda job: {"merge": all_verbs(job)["merge"]})]:
            self.addCleanup(setattr, allocations, name, getattr(allocations, name))
            setattr(allocations, name, value)
        self.assertRegex(self.run_tier(allocations.run), r"8 of \d+ call stacks.*merge 6\d")

    def test_determinism(self):
        for name, value in [("THREADS", (1, 2)), ("SHARDS", (1,)), ("OTHER_THREADS", (1, 3)), ("MEMORY", ("2GiB",)),
                            ("SAMPLES", {"chain": 3000, "convolutions": 300, "sequence": 300}), ("LEVELS", ("baseline",))]:
            self.addCleanup(setattr, determinism, name, getattr(determinism, name))
            setattr(determinism, name, value)
        summary = self.run_tier(determinism.run)
        for ways in ["baseline 2 (1 SHA-256)", "baseline importance chain 2 (1", "baseline sequence 4 (1",
                     "baseline convolutions 4 (1", "baseline importance convolutions 2 (1"]:
            self.assertIn(ways, summary)

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    @unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "strace and the leak sanitizer exclude each other")
    def test_faults(self):
        if subprocess.run(["strace", "-q", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this container does not allow strace")
        calls, errors = faults.CALLS, faults.ERRORS
        self.addCleanup(setattr, faults, "CALLS", calls)
        self.addCleanup(setattr, faults, "ERRORS", errors)
        faults.CALLS, faults.ERRORS = ("write", "fsync", "renameat2"), ("EIO", "EINTR")
        self.assertIn("injected faults", self.run_tier(faults.run))


if __name__ == "__main__":
    support.main()
