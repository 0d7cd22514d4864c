"""Graphs of layers through every verb: the same bits in shards, after an interruption and with a profile."""

import json

import support

ARCH = json.dumps({"input": [2, 6, 4], "layers": [
    {"type": "conv2d", "name": "stem", "out": 6, "kernel": 3, "padding": 1, "bias": False},
    {"type": "batch_norm", "name": "bn"}, {"type": "relu", "name": "r"},
    {"type": "conv2d", "name": "c", "out": 6, "kernel": 3, "padding": 1},
    {"type": "add", "name": "sum", "from": ["c", "r"]}, {"type": "max_pool2d", "kernel": 2},
    {"type": "flatten"}, {"type": "linear", "name": "head", "out": 4}]})


class GraphTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("arch.json", ARCH.encode())
        trained = self.run_json("train", "--arch", "arch.json", "--data", "synthetic:600", "--epochs", "3", "--batch-size",
                                "50", "-o", "W.safetensors")
        self.assertEqual(trained["parameters"], 6 * 18 + 12 + 6 * 54 + 6 + 4 * 36 + 4)
        self.compute = ["compute", "--weights", "W.safetensors", "--data", "synthetic:3000"]

    def test_weights_have_statistics_and_the_diagonal_has_not(self):
        self.run_json(*self.compute, "-o", "F.safetensors")
        weights = set(support.read_safetensors(self.path("W.safetensors"))[0])
        fisher = set(support.read_safetensors(self.path("F.safetensors"))[0])
        self.assertEqual(weights - fisher, {"bn.running_mean", "bn.running_var"})
        self.assertFalse(fisher - weights)
        self.assertIn("parameters", self.run_json("info", "F.safetensors"))
        penalty = self.run_json("penalty", "--weights", "W.safetensors", "--anchor", "W.safetensors", "--fisher",
                                "F.safetensors", "--lambda", "10")
        self.assertEqual(penalty["penalty"], 0)

    def test_shards_and_checkpoint_and_profile(self):
        whole = self.run_json(*self.compute, "-o", "F.safetensors")
        for index in "12":
            self.run_json(*self.compute, "--shard", index + "/2", "-o", "S" + index)
        self.assertEqual(self.run_json("merge", "S1", "S2", "-o", "M.safetensors")["sha256"], whole["sha256"])
        saved = self.run_json(*self.compute, "--checkpoint", "C", "--checkpoint-every", "0s", "-o", "F2.safetensors")
        self.assertEqual(saved["sha256"], whole["sha256"])
        profiled = self.run_json(*self.compute, "--profile", "--trace", "T.json")
        self.assertEqual(profiled["sha256"], whole["sha256"])
        layers = {line["layer"] for line in profiled["profile"]["layers"]}
        self.assertLessEqual({"stem", "bn", "sum", "head"}, layers)
        self.assertIn("forward stem", self.read("T.json").decode())
        self.assertIn("stem (conv2d)", self.run_tool(*self.compute, "--profile").stderr)

    def test_until_and_uniform_subsets(self):
        first = self.run_json(*self.compute, "--until", "1", "-o", "F.safetensors")
        self.assertEqual((first["samples"], first["until_reached"]), (512, True))
        # stem, bn, c, head
        self.assertEqual(len(first["layer_trace_standard_error"]), 4)
        self.assertEqual(len(first["relative_layer_trace_standard_error"]), 4)
        _, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        self.assertEqual([float(part) for part in metadata["layer_trace_standard_error"].split(",")],
                         first["layer_trace_standard_error"])
        error = 0.8 * first["relative_trace_standard_error"]
        runs = [self.run_json(*self.compute, "--until", str(error), "--threads", threads) for threads in "1237"]
        self.assertEqual(runs[0]["samples"], 1024)
        self.assertLessEqual(runs[0]["relative_trace_standard_error"], error)
        self.assertEqual(len({run["sha256"] for run in runs}), 1)
        self.assertEqual(len({run["trace_standard_error"] for run in runs}), 1)
        exhausted = self.run_json(*self.compute, "--until", "1e-9")
        self.assertEqual((exhausted["samples"], exhausted["trace_standard_error"]), (3000, 0))
        subset = self.run_json(*self.compute, "--subset", "uniform:100")
        self.assertGreater(subset["trace_standard_error"], 0)
        plan = self.run_json("plan", *self.compute[1:], "--until", "0.05")
        self.assertEqual(plan["samples"], 3000)

    def test_importance_subset(self):
        full = self.run_json(*self.compute)
        runs = [self.run_json(*self.compute, "--subset", "importance:300", "--threads", threads) for threads in "1237"]
        self.assertEqual(len({run["sha256"] for run in runs}), 1)
        # 6 standard errors: 2e-9.
        self.assertLess(abs(runs[0]["trace"] - full["trace"]), 6 * runs[0]["trace_standard_error"])
        whole = self.run_json(*self.compute, "--subset", "importance:3000")
        self.assertEqual((whole["sha256"], whole["trace_standard_error"]), (full["sha256"], 0))
        plan = self.run_json("plan", *self.compute[1:], "--subset", "importance:300", "--threads", "1")
        peak = self.run_json(*self.compute, "--subset", "importance:300", "--threads", "1")["peak_rss_bytes"]
        self.assertLess(abs(plan["peak_bytes"] / peak - 1), 0.1)

    def test_standard_errors(self):
        plain = self.run_json(*self.compute)
        runs = [self.run_json(*self.compute, "--standard-error", "--threads", threads, "-o", "F" + threads)
                for threads in "1237"]
        self.assertEqual({run["sha256"] for run in runs}, {plain["sha256"]})
        files = [support.read_safetensors(self.path("F" + threads))[0] for threads in "1237"]
        self.assertIn("c.weight.standard_error", files[0])
        for other in files[1:]:
            self.assertEqual(other, files[0])
        self.assertGreater(runs[0]["median_relative_standard_error"], 0)
        plan = self.run_json("plan", *self.compute[1:], "--standard-error", "--threads", "1")
        self.assertLess(abs(plan["peak_bytes"] / runs[0]["peak_rss_bytes"] - 1), 0.1)

    def test_check_and_plan(self):
        for estimator in ["empirical", "exact", "sketch"]:
            report = self.run_json("check", *self.compute[1:], "--estimator", estimator)
            self.assertTrue(report["passed"], report)
        plan = self.run_json("plan", *self.compute[1:])
        self.assertEqual(plan["parameters"], 598)
        peak = self.run_json(*self.compute, "--threads", "1")["peak_rss_bytes"]
        self.assertLess(abs(self.run_json("plan", *self.compute[1:], "--threads", "1")["peak_bytes"] / peak - 1), 0.1)

    def test_continual(self):
        result = self.run_json("continual", "--tasks", "A-then-B", "--arch", "arch.json", "--task-a", "synthetic:300", "--task-b",
                               "synthetic:300", "--methods", "none,ewc-online:exact", "--lambda", "10", "--iterations", "20",
                               "--batch-size", "20")
        self.assertEqual(len(result["runs"]), 2)

    def test_presets(self):
        plan = self.run_json("plan", "--arch", "lenet5", "--samples", "100")
        self.assertEqual(plan["parameters"], 61706)
        for verb in (["compute", "--weights", "W.safetensors"], ["train"]):
            self.assert_fails(3, [*verb, "--arch", "lenet-5", "--data", "synthetic:10"], "lenet5", "resnet18-reduced")

    def test_unsupported_layers(self):
        def file(*layers):
            text = json.dumps({"input": [2, 6, 4], "layers": [*layers, {"type": "flatten"},
                                                             {"type": "linear", "name": "head", "out": 4}]})
            return self.write("odd.json", text.encode())

        file({"type": "prelu", "name": "block.0.act"})
        for verb in (["compute", "--weights", "W.safetensors", "--data", "synthetic:10"],
                     ["train", "--data", "synthetic:10"], ["plan", "--samples", "10"]):
            self.assert_fails(4, [verb[0], "--arch", "odd.json", *verb[1:]], "odd.json", "'block.0.act'", "prelu", "conv2d")
        self.assert_fails(4, [*self.compute, "--precision", "bf16"], "bf16", "chains")
        file({"type": "conv2d", "name": "c", "out": 3, "kernel": 9})
        self.assert_fails(3, ["plan", "--samples", "10", "--arch", "odd.json"], "'c'", "does not fit")

    def test_exact_over_many_outputs(self):
        plan = ["plan", "--arch", "mlp:4-6000", "--samples", "10", "--estimator", "exact"]
        self.assert_fails(3, plan, "5999 seeds", "sketch", "mc", "--force")
        self.assertEqual(self.run_json(*plan, "--force")["samples"], 10)


if __name__ == "__main__":
    support.main()
