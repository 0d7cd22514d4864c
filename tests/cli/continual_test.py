"""fisherdiag continual: streams, results files, interruption and what is refused."""

import json
import os
import signal
import subprocess

import support


def images(samples, shift):
    """Rows whose bright feature tells the class, another one with another shift."""
    noise = support.numbers(samples * 6, 11 + shift)
    return [[(1.0 if i == (n % 4 + shift) % 6 else 0.0) + 0.2 * abs(noise[n * 6 + i]) for i in range(6)]
            for n in range(samples)]


def without_seconds(results):
    """What does not differ between two times the same study is made."""
    def clean(entries):
        return [{key: value for key, value in entry.items() if not key.startswith("seconds")} for entry in entries]
    return {"runs": clean(results["runs"]), "summary": clean(results["summary"]), "settings": results["settings"]}


class ContinualTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        for name, shift in [("a", 0), ("b", 1)]:
            self.write("X%s.npy" % name, support.float_npy(images(240, shift)))
            self.write("Y%s.npy" % name, support.label_npy([n % 4 for n in range(240)]))
        self.stream = ["continual", "--tasks", "A-then-B", "--arch", "mlp:6-12-4", "--batch-size", "16",
                       "--learning-rate", "0.02", "--task-a", "Xa.npy", "--task-a-labels", "Ya.npy", "--task-b",
                       "Xb.npy", "--task-b-labels", "Yb.npy"]
        self.study = [*self.stream, "--iterations", "100"]

    def results(self, name):
        return json.loads(self.read(name))

    def test_results(self):
        printed = self.run_json(*self.study, "--methods", "none,joint,l2,ewc-online:exact@100,ewc-merged:mc=2", "--lambda",
                                "10,1e3", "--seeds", "2", "-o", "r.json")
        written = self.results("r.json")
        self.assertEqual(printed, written)
        self.assertTrue(written["complete"])
        self.assertEqual(len(written["runs"]), 2 * (2 + 3 * 2))
        self.assertEqual(len(written["summary"]), 2 + 3 * 2)
        for entry in written["summary"]:
            self.assertLessEqual({"method", "estimator", "lambda", "average_accuracy", "standard_error", "forgetting",
                                  "seconds_training", "seconds_fisher", "seconds_penalty"}, set(entry))
            self.assertEqual(entry["lambda"] is None, entry["method"] in ("none", "joint"))
            self.assertEqual(entry["estimator"] is None, entry["method"] in ("none", "joint", "l2"))
            self.assertEqual(entry["seconds_fisher"] > 0, entry["estimator"] is not None)
        self.assertEqual({entry["estimator"] for entry in written["summary"]}, {None, "exact@100", "mc=2"})
        selected = [entry["method"] for entry in written["summary"] if entry["selected"]]
        self.assertEqual(sorted(selected), ["ewc-merged", "ewc-online", "joint", "l2", "none"])
        for run in written["runs"]:
            self.assertEqual([len(row) for row in run["accuracy"]], [2, 2])
            self.assertAlmostEqual(run["average_accuracy"], sum(run["accuracy"][-1]) / 2)

    def test_ewc_forgets_less(self):
        results = self.run_json(*self.study, "--methods", "none,ewc-online:exact", "--lambda", "1e4")
        none, ewc = results["summary"]
        # What is learned second says another class for the same features: nothing of the first task is left.
        self.assertGreater(none["forgetting"], 0.5)
        self.assertLess(ewc["forgetting"], 0.3)
        self.assertIsNone(none["standard_error"])

    def test_threads_do_not_matter(self):
        command = [*self.stream, "--methods", "none,ewc-online:sketch", "--seeds", "3", "--iterations", "20"]
        one = self.run_json(*command, "--threads", "1")
        three = self.run_json(*command, "--threads", "3")
        self.assertEqual(without_seconds(one), without_seconds(three))

    def test_lambda_translated(self):
        results = self.run_json(*self.study, "--methods", "ewc-online:exact,ewc-online:empirical", "--lambda", "1,10",
                                "--lambda-from", "exact:10")
        translated = {entry["estimator"]: entry for entry in results["summary"] if entry["lambda_from"]}
        traces = {run["estimator"]: run["fisher_traces"][0] for run in results["runs"]}
        self.assertAlmostEqual(translated["exact"]["lambda"], 10)
        self.assertAlmostEqual(translated["empirical"]["lambda"], 10 * traces["exact"] / traces["empirical"], delta=1e-6)
        self.assertEqual([entry["estimator"] for entry in results["translations"]], ["exact", "empirical"])

    def test_default_lambda(self):
        summary = self.run_json(*self.study, "--methods", "ewc-online")["summary"]
        self.assertEqual(summary[0]["lambda_from"], "exact:1e+05")
        self.assertTrue(summary[0]["selected"])

    def test_restart_continues(self):
        half = [*self.study, "--methods", "none,ewc-online:exact", "--lambda", "10"]
        whole = [*half, "--seeds", "2"]
        self.run_json(*half, "-o", "parts.json")
        first = {run["seed"]: run for run in self.results("parts.json")["runs"]}
        self.assertEqual(set(first), {1})
        self.run_json(*whole, "-o", "parts.json")
        continued = self.results("parts.json")
        self.assertIn(first[1], continued["runs"])  # kept with its seconds, not made again
        self.run_json(*whole, "-o", "whole.json")
        self.assertEqual(without_seconds(continued), without_seconds(self.results("whole.json")))

    def test_interruption_keeps_finished_runs(self):
        command = [*self.stream, "--iterations", "2000", "--methods", "none", "--seeds", "5000", "-o", "r.json"]
        process = subprocess.Popen([support.TOOL, *command], cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        while not os.path.exists(self.path("r.json")) and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        output, text = process.communicate()
        self.assertEqual((process.returncode, output), (130, ""), text)
        self.assertIn("continues", text)
        kept = self.results("r.json")
        self.assertFalse(kept["complete"])
        self.assertGreaterEqual(len(kept["runs"]), 1)
        self.assertEqual(sorted(os.listdir(self.folder)), ["Xa.npy", "Xb.npy", "Ya.npy", "Yb.npy", "r.json"])
        seeds = str(len(kept["runs"]) + 1)
        command[command.index("5000")] = seeds
        self.run_json(*command)
        continued = self.results("r.json")
        self.assertTrue(continued["complete"])
        command[-1] = "whole.json"
        self.run_json(*command)
        self.assertEqual(without_seconds(continued), without_seconds(self.results("whole.json")))

    def test_other_files_are_refused(self):
        self.run_json(*self.study, "--methods", "none", "-o", "r.json")
        before = self.read("r.json")
        other = [*self.stream, "--iterations", "99", "--methods", "none", "-o", "r.json"]
        self.assert_fails(3, other, "r.json", "iterations", "99")
        self.assert_fails(3, [*self.study, "--methods", "none", "--gamma", "0.5", "-o", "r.json"], "r.json", "gamma")
        self.assertEqual(self.read("r.json"), before)
        for content in [b"{}", b"[1]", b"not json", b'{"format": "fisherdiag continual", "settings": {}, "runs": 3}']:
            self.write("o.json", content)
            self.assert_fails(3, [*self.study, "--methods", "none", "-o", "o.json"], "o.json")
            self.assertEqual(self.read("o.json"), content)
        self.assert_fails(2, [*self.study, "--methods", "none", "-o", "Xa.npy"], "Xa.npy")
        self.assert_fails(3, [*self.study, "--methods", "none", "-o", "nowhere/r.json"], "nowhere")

    def test_refused_arguments(self):
        methods = ["--methods", "ewc-online:exact"]
        for arguments, word in [
                (["--tasks", "split-cifar", "--methods", "none"], "split-cifar"),
                (["--tasks", "permuted-fashion-mnist:0", "--methods", "none"], "permuted-fashion-mnist:0"),
                (["--tasks", "split-fashion-mnist"], "--methods"),
                (["--tasks", "split-fashion-mnist", "--methods", "ewc"], "ewc"),
                (["--tasks", "split-fashion-mnist", "--methods", "none,none"], "twice"),
                (["--tasks", "split-fashion-mnist", "--methods", "none,"], "--methods"),
                (["--tasks", "split-fashion-mnist", *methods, "--lambda", "-1"], "--lambda"),
                (["--tasks", "split-fashion-mnist", *methods, "--lambda", "1e4,x"], "'x'"),
                (["--tasks", "split-fashion-mnist", *methods, "--lambda-from", "exact"], "--lambda-from"),
                (["--tasks", "split-fashion-mnist", *methods, "--gamma", "0"], "--gamma"),
                (["--tasks", "split-fashion-mnist", *methods, "--gamma", "1.5"], "--gamma"),
                (["--tasks", "split-fashion-mnist", *methods, "--gamma", "nan"], "--gamma"),
                (["--tasks", "split-fashion-mnist", *methods, "--iterations", "0"], "--iterations"),
                (["--tasks", "split-fashion-mnist", *methods, "--seeds", "0"], "--seeds"),
                (["--tasks", "split-fashion-mnist", *methods, "--learning-rate", "-1"], "--learning-rate"),
                (["--tasks", "split-fashion-mnist", *methods, "--task-a", "Xa.npy"], "--task-a"),
                (["--tasks", "A-then-B", *methods], "--task-a"),
                (["--tasks", "A-then-B", *methods, "--task-a", "Xa.npy"], "--task-b")]:
            self.assert_fails(2, ["continual", *arguments], word)

    def test_refused_data(self):
        self.assert_fails(3, ["continual", "--tasks", "split-mnist", "--methods", "none"], "mnist:train")
        gone = [*self.study, "--methods", "none"]
        gone[gone.index("Xb.npy")] = "gone.npy"
        self.assert_fails(3, gone, "gone.npy")
        wide = [*self.study, "--methods", "none"]
        wide[wide.index("mlp:6-12-4")] = "mlp:7-12-4"
        self.assert_fails(3, wide, "Xa.npy", "7")
        narrow = [*self.study, "--methods", "none"]
        narrow[narrow.index("mlp:6-12-4")] = "mlp:6-12-3"
        self.assert_fails(3, narrow, "Xa.npy", "3")


if __name__ == "__main__":
    support.main()
