"""plan, and the memory it promises: measured as the largest resident memory of the tool (VmHWM)."""

import os
import re
import unittest

import support

MEBI = 1 << 20


class PlanTest(support.ToolTest):
    def test_keys(self):
        plan = self.run_json("plan", "--arch", "mlp:20-30-4", "--samples", "5000", "--threads", "2")
        self.assertEqual(plan["samples"], 5000)
        self.assertEqual(plan["parameters"], 20 * 30 + 30 + 30 * 4 + 4)
        self.assertEqual(plan["threads"], 2)
        self.assertGreater(plan["seconds"], 0)
        self.assertGreater(plan["peak_bytes"], 0)
        # needed = 2 (forward + accumulation) W + 2 W above the first layer, per sample
        self.assertEqual(plan["flops"], 5000 * (4 * (600 + 120) + 2 * 120))
        self.assertEqual([entry["threads"] for entry in plan["scaling"]][:4], [1, 2, 4, 8])
        self.assertAlmostEqual(plan["scaling"][1]["seconds"], plan["seconds"])
        self.assertIn("fixed", plan["model"])
        self.assertTrue(plan["assumptions"])

    def test_a_compute_command_can_be_planned(self):
        self.write_problem()
        words = [*self.problem, "--estimator", "exact", "--normalize", "sum", "--max-samples", "10", "-o", "F",
                 "--max-memory", "1GiB", "--profile", "--trace", "T"]
        plan = self.run_json("plan", *words)
        self.assertEqual(plan["samples"], 10)
        self.assertEqual(plan["estimator"], "exact")

    def test_fixed_part_is_no_clock(self):
        # Measured in a second or two, so it cannot be a minute; time since the machine's start can.
        plan = self.run_json("plan", "--arch", "mlp:20-30-4", "--samples", "5000")
        self.assertLess(plan["fixed_seconds"], 60)

    def test_text(self):
        done = self.run_tool("plan", "--arch", "mlp:20-30-4", "--samples", "5000")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("a plan, not a measurement", "memory", "threads", "assuming that"):
            self.assertIn(word, done.stdout)

    def test_usage(self):
        self.assert_fails(2, ["plan", "--samples", "10"], "--arch")
        self.assert_fails(2, ["plan", "--arch", "mlp:4-3"], "--samples")
        self.assert_fails(2, ["plan", "--arch", "mlp:4-3", "--samples", "0"], "--samples")
        self.assert_fails(3, ["plan", "--arch", "mlp:4-3", "--samples", "9", "--max-memory", "100B"], "at least")


@unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "a sanitizer takes memory of its own")
class MemoryTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([300, 200, 100, 10])))
        self.words = ["--arch", "mlp:300-200-100-10", "--weights", "W.safetensors", "--data", "synthetic:9000"]

    def test_prediction(self):
        for words in ([], ["--estimator", "batched", "--batch-size", "1000"], ["--max-samples", "700"]):
            for threads in ("1", "3"):
                plan = self.run_json("plan", *self.words, *words, "--threads", threads)
                # The larger of two runs: in one a thread may come too late to touch what is meant for it.
                peak = max(self.run_json("compute", *self.words, *words, "--threads", threads)["peak_rss_bytes"]
                           for _ in range(2))
                # The accuracy plan promises.
                self.assertLess(abs(plan["peak_bytes"] / peak - 1), 0.1, (words, threads))

    def needed(self, words):
        """MiB that the refusal of a tiny bound names."""
        done = self.assert_fails(3, ["compute", *self.words, *words, "--max-memory", "1MiB"], "at least")
        return int(re.search(r"at least (\d+) MiB", done.stderr).group(1))

    def test_bound_holds(self):
        for words in ([], ["--estimator", "exact"], ["--subset", "importance:3000"], ["--until", "0.02"]):
            for threads in ("1", "2", "3"):
                command = [*words, "--threads", threads]
                least = self.needed(command)
                shas = set()
                # One MiB above: the process is not the same to the page each time.
                for bound in (least + 1, least + 3, least + 10, 500):
                    result = self.run_json("compute", *self.words, *command, "--max-memory", "%dMiB" % bound, "-o", "F")
                    self.assertLessEqual(result["peak_rss_bytes"], bound * MEBI, (command, bound))
                    shas.add(result["sha256"])
                self.assertEqual(len(shas), 1)


if __name__ == "__main__":
    support.main()
