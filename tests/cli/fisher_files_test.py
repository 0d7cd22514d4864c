"""fisherdiag merge, diff and info."""

import support


class MergeTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem(samples=50)
        self.rows = [support.numbers(6, 100 + n) for n in range(50)]

    def compute(self, output, first, last, *more):
        self.write("part.npy", support.float_npy(self.rows[first:last]))
        self.write("part-labels.npy", support.label_npy([n % 3 for n in range(first, last)]))
        return self.run_json("compute", "--arch", self.arch, "--weights", "W.safetensors", "--data", "part.npy", "--labels",
                             "part-labels.npy", "-o", output, *more)

    def assert_parts_make_the_whole(self, *more):
        self.compute("whole.safetensors", 0, 50, *more)
        self.compute("a.safetensors", 0, 16, *more)
        self.compute("b.safetensors", 16, 50, *more)
        merged = self.run_json("merge", "a.safetensors", "b.safetensors", "-o", "merged.safetensors")
        self.assertEqual(merged["samples"], 50)
        # Parts and whole are each rounded to float once: a few 2^-24.
        difference = self.run_json("diff", "merged.safetensors", "whole.safetensors", "--fail-above", "1e-6")
        self.assertLessEqual(difference["total"]["relative_error"], 1e-6)
        _, metadata, _ = support.read_safetensors(self.path("merged.safetensors"))
        _, whole, _ = support.read_safetensors(self.path("whole.safetensors"))
        for key in ["samples", "estimator", "normalization", "weights_sha256", "likelihood"]:
            self.assertEqual(metadata[key], whole[key])

    def test_means_are_weighted(self):
        self.assert_parts_make_the_whole()

    def test_sums_are_added(self):
        self.assert_parts_make_the_whole("--normalize", "sum", "--estimator", "exact")

    def test_batches_are_weighted(self):
        self.assert_parts_make_the_whole("--estimator", "batched", "--batch-size", "4")

    def test_different_quantities_are_refused(self):
        self.compute("a.safetensors", 0, 16)
        self.compute("exact.safetensors", 16, 50, "--estimator", "exact")
        self.compute("sum.safetensors", 16, 50, "--normalize", "sum")
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([6, 5, 3], seed=99)))
        self.compute("moved.safetensors", 16, 50)
        for other, word in [("exact", "estimator"), ("sum", "normalization"), ("moved", "weights")]:
            merge = ["merge", "a.safetensors", other + ".safetensors", "-o", "merged.safetensors"]
            self.assert_fails(3, merge, other + ".safetensors", word)
            if other != "sum":
                self.assertEqual(self.run_tool(*merge, "--force").returncode, 0)

    def test_decay(self):
        metadata = {"samples": "4", "normalization": "mean", "weights_sha256": "x"}
        self.write("a.safetensors", support.safetensors_bytes([("w", [2], [8, 2])], metadata))
        self.write("b.safetensors", support.safetensors_bytes([("w", [2], [1, 3])], dict(metadata, weights_sha256="y")))
        self.run_json("merge", "a.safetensors", "b.safetensors", "--decay", "0.5", "-o", "online.safetensors")
        tensors, written, _ = support.read_safetensors(self.path("online.safetensors"))
        self.assertEqual(tensors["w"][2], [5.0, 4.0])
        self.assertEqual((written["weights_sha256"], written["samples"]), ("y", "8"))


class ShardTest(support.ToolTest):
    def test_shards_make_one_run(self):
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([6, 5, 3])))
        compute = ["compute", "--arch", "mlp:6-5-3", "--weights", "W.safetensors", "--data", "synthetic:5000"]
        self.run_json(*compute, "-o", "whole.safetensors")
        parts = []
        for part in ["1/3", "2/3", "3/3"]:
            name = "part-%s" % part[0]
            result = self.run_json(*compute, "--shard", part, "-o", name, "--threads", part[0])
            self.assertLess(result["samples"], 5000)
            parts.append(name)
        result = self.run_json("merge", *reversed(parts), "-o", "merged.safetensors")
        self.assertEqual(result["samples"], 5000)
        self.assertEqual(self.read("merged.safetensors"), self.read("whole.safetensors"))
        self.assert_fails(3, ["merge", parts[0], parts[1], "-o", "x"], "shard 3 of 3 is missing")
        self.assert_fails(3, ["merge", parts[0], "whole.safetensors", "-o", "x"], "whole.safetensors", "not a shard")
        self.assert_fails(2, ["merge", *parts, "--decay", "0.5", "-o", "x"], "--decay")
        self.assert_fails(3, ["diff", parts[0], "whole.safetensors"], parts[0], "shard")
        for bad in ["0/3", "4/3", "3", "a/b", "1/", "/2", "1/2/3"]:
            self.assert_fails(2, [*compute, "--shard", bad], bad)
        self.assert_fails(2, [*compute, "--shard", "1/2", "--until", "0.1"], "--shard", "--until")


class DiffTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("a.safetensors", support.safetensors_bytes([("v", [2], [3, 4]), ("w", [3], [1, 2, 4])]))
        self.write("b.safetensors", support.safetensors_bytes([("w", [3], [3, 2, 1]), ("v", [2], [6, 8])]))

    def test_by_hand(self):
        result = self.run_json("diff", "a.safetensors", "b.safetensors")
        v, w = result["layers"]
        self.assertEqual((v["name"], v["trace_a"], v["trace_b"], v["trace_ratio"]), ("v", 7.0, 14.0, 0.5))
        self.assertAlmostEqual(v["cosine"], 1.0, delta=1e-15)
        self.assertAlmostEqual(v["relative_error"], 0.5, delta=1e-15)
        self.assertAlmostEqual(v["spearman"], 1.0, delta=1e-15)
        self.assertAlmostEqual(w["cosine"], 11 / (21 * 14) ** 0.5, delta=1e-15)
        self.assertAlmostEqual(w["relative_error"], (13 / 14) ** 0.5, delta=1e-15)
        self.assertAlmostEqual(w["spearman"], -1.0, delta=1e-15)
        total = result["total"]
        self.assertEqual((total["trace_a"], total["trace_b"]), (14.0, 20.0))
        self.assertEqual(result["lambda_ratio"], 0.7)
        self.assertEqual(result["quantiles"][-1]["level"], 1)
        self.assertNotIn("lambda_b", result)
        translated = self.run_json("diff", "a.safetensors", "b.safetensors", "--lambda", "1e5")
        self.assertAlmostEqual(translated["lambda_b"], 7e4)
        self.assert_fails(2, ["diff", "a.safetensors", "b.safetensors", "--lambda", "-1"], "--lambda")
        # Ranks less their mean: 0 1.5 -2 -1 1.5 and 1 2 0 -1 -2.
        self.assertAlmostEqual(total["spearman"], 1 / 95**0.5, delta=1e-15)

    def test_self(self):
        result = self.run_json("diff", "a.safetensors", "a.safetensors", "--fail-above", "0")
        self.assertEqual((result["total"]["relative_error"], result["total"]["cosine"], result["lambda_ratio"]), (0, 1, 1))
        self.assertEqual(result["passed"], True)

    def test_threshold(self):
        self.assertEqual(self.run_json("diff", "a.safetensors", "b.safetensors", "--fail-above", "1")["passed"], True)
        failed = self.run_json("diff", "a.safetensors", "b.safetensors", "--fail-above", "0.1", code=1)
        self.assertEqual(failed["passed"], False)

    def test_undefined_figures_are_null_and_fail(self):
        self.write("zero.safetensors", support.safetensors_bytes([("v", [2], [0, 0]), ("w", [3], [0, 0, 0])]))
        result = self.run_json("diff", "a.safetensors", "zero.safetensors", "--fail-above", "1", code=1)
        self.assertIsNone(result["total"]["relative_error"])
        self.assertIsNone(result["lambda_ratio"])
        zero = self.run_json("diff", "zero.safetensors", "zero.safetensors", "--fail-above", "0")
        self.assertEqual(zero["total"]["relative_error"], 0)

    def test_metadata_that_differs(self):
        for name, metadata in [("c", {"estimator": "exact", "samples": "4"}), ("d", {"estimator": "mc", "samples": "4"})]:
            self.write(name, support.safetensors_bytes([("w", [1], [1])], metadata))
        self.assertEqual(self.run_json("diff", "c", "d")["metadata_differences"], {"draws": ["", "1"], "estimator": ["exact", "mc"]})
        self.assertRegex(self.run_tool("diff", "c", "d").stdout, "estimator +exact +mc")

    def test_text(self):
        done = self.run_tool("diff", "a.safetensors", "b.safetensors")
        self.assertEqual(done.returncode, 0)
        self.assertIn("0.7 times", done.stdout)


class InfoTest(support.ToolTest):
    def test_quantiles(self):
        values = [float(n) for n in range(100, 0, -1)]
        self.write("F.safetensors", support.safetensors_bytes([("w", [10, 10], values), ("b", [1], [0.5])], {"who": "me"}))
        result = self.run_json("info", "F.safetensors")
        w, b = result["tensors"]
        self.assertEqual((w["name"], w["dtype"], w["shape"], w["elements"]), ("w", "F32", [10, 10], 100))
        self.assertEqual([w[key] for key in ["min", "q50", "q90", "q99", "max"]], [1, 50, 90, 99, 100])
        self.assertEqual((w["trace"], b["trace"], result["trace"]), (5050, 0.5, 5050.5))
        self.assertEqual((result["metadata"], result["parameters"]), ({"who": "me"}, 101))

    def test_largest(self):
        self.write("F", support.safetensors_bytes([("w", [2, 3], [1, 7, 3, 9, 7, 0]), ("b", [2], [8, 7])]))
        largest = self.run_json("info", "F", "--top", "4")["largest"]
        self.assertEqual([(entry["tensor"], entry["index"], entry["value"]) for entry in largest],
                         [("w", [1, 0], 9), ("b", [0], 8), ("w", [0, 1], 7), ("w", [1, 1], 7)])
        self.assertIn("[1,0]", self.run_tool("info", "F").stdout)
        self.assertEqual(self.run_json("info", "F", "--top", "0")["largest"], [])

    def test_other_dtypes_and_values(self):
        header = ('{"i":{"dtype":"I64","shape":[],"data_offsets":[0,8]},'
                  '"f":{"dtype":"F32","shape":[3],"data_offsets":[8,20]},'
                  '"e":{"dtype":"F32","shape":[0],"data_offsets":[20,20]}}')
        data = bytes(8) + support.floats([float("nan"), 2, float("inf")])
        self.write("mixed.safetensors", support.raw_safetensors(header, data))
        by_name = {tensor["name"]: tensor for tensor in self.run_json("info", "mixed.safetensors")["tensors"]}
        self.assertIsNone(by_name["i"]["q50"])
        self.assertEqual((by_name["f"]["q50"], by_name["f"]["not_finite"]), (2, 2))
        self.assertIsNone(by_name["e"]["max"])

    def test_text(self):
        self.write("F.safetensors", support.safetensors_bytes([("w", [2], [1, 2])], {"estimator": "exact"}))
        done = self.run_tool("info", "F.safetensors")
        self.assertEqual(done.returncode, 0)
        self.assertIn("[2]", done.stdout)
        self.assertIn("exact", done.stdout)


if __name__ == "__main__":
    support.main()
