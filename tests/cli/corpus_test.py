"""Every file of the corpus through the tool: refused in one sentence, or read as what it is."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import support

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "scripts", "make_corpus.py")
# A hang is a run that does not end; the limit is far above what a loaded machine needs.
HANG_SECONDS = 60
MOST_BYTES_OVER_BASELINE = 64 << 20
LEAST_REJECTED, LEAST_READ = 400, 60


class CorpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="fisherdiag-corpus-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = cls.temporary.name
        subprocess.run([sys.executable, "-B", SCRIPT, cls.folder], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(cls.folder, "corpus.json")) as file:
            cls.corpus = json.load(file)
        cls.results = {name: cls.run_case(options, "") for name, options in cls.corpus["problems"].items()}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            cls.runs = list(
                pool.map(lambda case: (case, cls.run_case(case["options"], case["file"])), cls.corpus["cases"])
            )

    @classmethod
    def run_case(cls, changed, file):
        """(exit code, stdout, stderr, peak bytes, seconds, whether an output appeared)"""
        options = dict(cls.corpus["canonical"], **changed)
        words = [word for name, value in options.items() if value is not None for word in (name, value)]
        output = os.path.join(cls.folder, "F-%d.safetensors" % threading.get_ident())
        started = time.monotonic()
        process = subprocess.Popen(
            [support.TOOL, "compute", *words, "--json", "--quiet", "--threads", "1", "-o", output],
            cwd=cls.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        killer = threading.Timer(HANG_SECONDS, process.kill)
        killer.start()
        stdout, stderr = process.stdout.read(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        appeared = os.path.exists(output)
        if appeared:
            os.remove(output)
        return (
            process.returncode,
            stdout.decode(),
            stderr.decode(errors="replace"),
            usage.ru_maxrss * 1024,
            time.monotonic() - started,
            appeared,
        )

    def test_enough_cases(self):
        expected = [case["expect"] for case in self.corpus["cases"]]
        self.assertGreaterEqual(expected.count("reject"), LEAST_REJECTED)
        self.assertGreaterEqual(expected.count("load"), LEAST_READ)

    def test_rejections(self):
        for case, (code, stdout, stderr, _, _, appeared) in self.runs:
            if case["expect"] != "reject":
                continue
            with self.subTest(case["label"], stderr=stderr):
                self.assertEqual(code, case["code"])
                self.assertEqual(stdout, "")
                self.assertEqual(len(stderr.strip().split("\n")), 1)
                self.assertIn(case["file"], stderr)
                self.assertIn(case["reason"], stderr)
                self.assertFalse(appeared)

    def test_oddities(self):
        wanted = {name: json.loads(result[1])["sha256"] for name, result in self.results.items()}
        for case, (code, stdout, stderr, _, _, appeared) in self.runs:
            if case["expect"] != "load":
                continue
            with self.subTest(case["label"], stderr=stderr):
                self.assertEqual(code, 0)
                self.assertEqual(json.loads(stdout)["sha256"], wanted[case["like"]])
                self.assertTrue(appeared)

    def test_memory_and_time(self):
        baseline = self.results["canonical"][3]
        most = max(self.runs, key=lambda run: run[1][3])
        slowest = max(self.runs, key=lambda run: run[1][4])
        print(
            "most memory: %s, %.1f MB over the baseline; slowest: %s, %.2f s"
            % (most[0]["label"], (most[1][3] - baseline) / 2**20, slowest[0]["label"], slowest[1][4])
        )
        self.assertLess(most[1][3] - baseline, MOST_BYTES_OVER_BASELINE, most[0]["label"])


if __name__ == "__main__":
    support.main()
