"""Every file of the corpus through the tool: refused in one sentence, or read as what it is."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import support

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "scripts", "make_corpus.py")
# A hang is a run that does not end; the limit is far above what a loaded machine needs.
HANG_SECONDS = 60
MOST_PROCESSOR_SECONDS = 1
MOST_BYTES_OVER_BASELINE = 64 << 20
LEAST_REJECTED, LEAST_READ = 400, 60


class Result(NamedTuple):
    code: int
    stdout: str
    stderr: str
    peak: int          # bytes
    seconds: float     # of processors
    appeared: bool     # an output


def measured(command, folder, output=None):
    """Runs it. The peak is at least the memory of the process that calls this: that must be a small one."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    killer = threading.Timer(HANG_SECONDS, process.kill)
    killer.start()
    stdout, stderr = process.stdout.read(), process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    appeared = bool(output) and os.path.exists(output)
    if appeared:
        os.remove(output)
    return Result(process.returncode, stdout.decode(), stderr.decode(errors="replace"), usage.ru_maxrss * 1024,
                  usage.ru_utime + usage.ru_stime, appeared)


def run_case(folder, options):
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    output = os.path.join(folder, "F-%d.safetensors" % os.getpid())
    return measured([support.TOOL, "compute", *words, "--json", "--quiet", "--threads", "1", "-o", output], folder, output)


def hog():
    """What a run of 100 MB too many is measured as."""
    return measured([sys.executable, "-c", "len(b'x' * (100 << 20))"], None).peak


class CorpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="fisherdiag-corpus-")
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = cls.temporary.name
        subprocess.run([sys.executable, "-B", SCRIPT, folder], check=True, stdout=subprocess.DEVNULL)
        # The workers start, each with a hog, before this process grows.
        workers = os.cpu_count()
        with ProcessPoolExecutor(workers) as pool:
            cls.hog = min(run.result() for run in [pool.submit(hog) for _ in range(workers)])
            with open(os.path.join(folder, "corpus.json")) as file:
                cls.corpus = json.load(file)

            def submit(changed):
                return pool.submit(run_case, folder, dict(cls.corpus["canonical"], **changed))

            problems = {name: submit(options) for name, options in cls.corpus["problems"].items()}
            runs = [(case, submit(case["options"])) for case in cls.corpus["cases"]]
            cls.results = {name: run.result() for name, run in problems.items()}
            cls.runs = [(case, run.result()) for case, run in runs]

    def test_enough_cases(self):
        expected = [case["expect"] for case in self.corpus["cases"]]
        self.assertGreaterEqual(expected.count("reject"), LEAST_REJECTED)
        self.assertGreaterEqual(expected.count("load"), LEAST_READ)

    def test_rejections(self):
        for case, run in self.runs:
            if case["expect"] != "reject":
                continue
            with self.subTest(case["label"], stderr=run.stderr):
                self.assertEqual(run.code, case["code"])
                self.assertEqual(run.stdout, "")
                self.assertEqual(len(run.stderr.strip().split("\n")), 1)
                self.assertIn(case["file"], run.stderr)
                self.assertIn(case["reason"], run.stderr)
                self.assertFalse(run.appeared)

    def test_oddities(self):
        wanted = {name: json.loads(result.stdout)["sha256"] for name, result in self.results.items()}
        for case, run in self.runs:
            if case["expect"] != "load":
                continue
            with self.subTest(case["label"], stderr=run.stderr):
                self.assertEqual(run.code, 0)
                self.assertEqual(json.loads(run.stdout)["sha256"], wanted[case["like"]])
                self.assertTrue(run.appeared)

    @unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "a sanitizer takes memory and time of its own")
    def test_memory_and_time(self):
        baseline = self.results["canonical"].peak
        greedy, most = max(self.runs, key=lambda pair: pair[1].peak)
        slow, slowest = max(self.runs, key=lambda pair: pair[1].seconds)
        print("%d cases; baseline %.1f MB; most memory: %s, %.1f MB over it; slowest: %s, %.2f s of a processor" % (
            len(self.runs), baseline / 2**20, greedy["label"], (most.peak - baseline) / 2**20, slow["label"], slowest.seconds))
        self.assertLess(most.peak - baseline, MOST_BYTES_OVER_BASELINE, greedy["label"])
        self.assertLess(slowest.seconds, MOST_PROCESSOR_SECONDS, slow["label"])
        # The limit can be passed: the memory of this process does not hide that of the tool.
        self.assertGreater(self.hog - baseline, MOST_BYTES_OVER_BASELINE)


if __name__ == "__main__":
    support.main()
