"""compute --profile and --trace: figures that add up, a timeline that opens, files checked before the work."""

import json
import os

import support


class ProfileTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem(sizes=(20, 30, 12, 4), samples=50)
        self.compute = ["compute", *self.problem, "--threads", "2"]

    def test_json(self):
        result = self.run_json(*self.compute, "--profile", "-o", "F.safetensors")
        profile = result["profile"]
        phases = {line["phase"]: line for line in profile["phases"]}
        for name in ("load", "read", "forward", "seeds", "backward", "accumulate", "normalize", "write"):
            self.assertGreater(phases[name]["thread_seconds"], 0, name)
        total = sum(line["thread_seconds"] for line in profile["phases"]) + sum(profile["idle_seconds"].values())
        total += profile["waiting_seconds"] + profile["other_seconds"]
        # One clock; only sums of doubles round.
        self.assertAlmostEqual(total / (2 * profile["wall_seconds"]), 1, places=6)
        forward = [line for line in profile["layers"] if line["phase"] == "forward"]
        self.assertEqual([(line["layer"], line["flops"]) for line in forward],
                         [("0", 2 * 20 * 30 * 50), ("2", 2 * 30 * 12 * 50), ("4", 2 * 12 * 4 * 50)])
        if profile["counters"] is None:
            self.assertTrue(profile["counters_reason"].startswith("no hardware counters: "))

    def test_table(self):
        done = self.run_tool(*self.compute, "--profile")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("forward", "accumulate", "waiting for one thread", "0 (20 to 30)", "busiest thread"):
            self.assertIn(word, done.stderr)
            self.assertNotIn(word, done.stdout)
        self.assertNotIn("waiting", self.run_tool(*self.compute).stderr)

    def test_same_bits(self):
        plain = self.run_json(*self.compute)
        profiled = self.run_json(*self.compute, "--profile", "--trace", "T.json")
        self.assertEqual(plain["sha256"], profiled["sha256"])
        self.assertNotIn("profile", plain)

    def test_trace(self):
        self.run_json(*self.compute, "--trace", "T.json", "-o", "F.safetensors")
        trace = json.loads(self.read("T.json"))
        events = trace["traceEvents"]
        names = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
        self.assertEqual(names, ["thread 0", "thread 1"])
        spans = [event for event in events if event["ph"] == "X"]
        self.assertTrue({"load", "read", "forward 0", "backward 4", "write"} <= {span["name"] for span in spans})
        for span in spans:
            self.assertGreaterEqual(span["ts"], 0)
            self.assertGreaterEqual(span["dur"], 0)
            self.assertIn(span["cat"], ("rows", "tiles", "alone"))
        self.assertEqual(trace["otherData"]["dropped_spans"], 0)

    def test_trace_is_checked_before_the_work(self):
        arguments = ["compute", "--arch", self.arch, "--weights", "W.safetensors", "--data", "gone.npy"]
        self.assert_fails(3, arguments + ["--trace", "nowhere/T.json"], "nowhere")
        os.mkdir(self.path("folder"))
        self.assert_fails(3, arguments + ["--trace", "folder"], "folder")
        self.assert_fails(2, arguments + ["--trace", "X.npy", "--labels", "X.npy"], "X.npy")
        self.assert_fails(2, arguments + ["--trace", "F", "-o", "F"], "--trace")
        self.assertFalse(os.path.exists(self.path("F")))

    def test_failed_run_leaves_no_trace(self):
        before = sorted(os.listdir(self.folder))
        self.assert_fails(3, ["compute", *self.problem[:-2], "--trace", "T.json"], "label")
        self.assertEqual(sorted(os.listdir(self.folder)), before)


if __name__ == "__main__":
    support.main()
