"""fisherdiag compute --subset and --until: what they take, print and write."""

import support

NAMES = ["subset", "population", "trace_standard_error", "relative_trace_standard_error", "layer_trace_standard_error",
         "relative_layer_trace_standard_error"]


class SubsetTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem(sizes=(6, 5, 3), samples=1500)

    def test_uniform_is_max_samples(self):
        one = self.run_json("compute", *self.problem, "--subset", "uniform:70")
        other = self.run_json("compute", *self.problem, "--max-samples", "70")
        self.assertEqual((one["samples"], one["subset"], one["population"]), (70, "uniform", 1500))
        self.assertEqual(one["sha256"], other["sha256"])

    def test_json_and_metadata_say_the_same(self):
        for subset in ["uniform:70", "importance:70"]:
            result = self.run_json("compute", *self.problem, "--estimator", "exact", "--subset", subset, "-o",
                                   "F.safetensors")
            _, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
            self.assertEqual(result["samples"], 70)
            for key in ["trace_standard_error", "relative_trace_standard_error"]:
                self.assertEqual(float(metadata[key]), result[key])
                self.assertGreater(result[key], 0)
            self.assertEqual([float(part) for part in metadata["layer_trace_standard_error"].split(",")],
                             result["layer_trace_standard_error"])
            self.assertEqual(len(result["relative_layer_trace_standard_error"]), 2)
            self.assertEqual((metadata["subset"], metadata["population"]), (result["subset"], "1500"))
            # The trace is added up by layers there and by float32 elements here.
            self.assertAlmostEqual(result["trace_standard_error"] / result["trace"],
                                   result["relative_trace_standard_error"], delta=1e-5)
            self.assertEqual(self.run_tool("info", "F.safetensors").returncode, 0)

    def test_all_samples_say_nothing(self):
        result = self.run_json("compute", *self.problem, "-o", "F.safetensors")
        _, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        for name in NAMES:
            self.assertNotIn(name, result)
            self.assertNotIn(name, metadata)

    def test_importance_is_near_and_the_whole_exact(self):
        full = self.run_json("compute", *self.problem)
        part = self.run_json("compute", *self.problem, "--subset", "importance:300")
        # 6 standard errors: 2e-9.
        self.assertLess(abs(part["trace"] - full["trace"]), 6 * part["trace_standard_error"])
        whole = self.run_json("compute", *self.problem, "--subset", "importance:1500")
        self.assertEqual((whole["sha256"], whole["trace_standard_error"]), (full["sha256"], 0))

    def test_same_bits_for_any_number_of_threads(self):
        for arguments in [["--subset", "importance:700"], ["--until", "0.03"],
                          ["--until", "0.03", "--subset", "importance"]]:
            runs = [self.run_json("compute", *self.problem, *arguments, "--threads", threads)
                    for threads in ["1", "2", "3", "7"]]
            self.assertEqual(len({run["sha256"] for run in runs}), 1)
            self.assertEqual(len({run["trace_standard_error"] for run in runs}), 1)

    def test_until(self):
        for subset in [[], ["--subset", "importance"]]:
            first = self.run_json("compute", *self.problem, *subset, "--until", "1")
            self.assertEqual((first["samples"], first["until"], first["until_reached"]), (512, 1, True))
            error = 0.8 * first["relative_trace_standard_error"]
            result = self.run_json("compute", *self.problem, *subset, "--until", str(error))
            self.assertIn(result["samples"], [1024, 1500])
            self.assertLessEqual(result["relative_trace_standard_error"], error)
            bounded = self.run_json("compute", *self.problem, "--subset", (subset or ["", "uniform"])[1] + ":600",
                                    "--until", "1e-6")
            self.assertEqual((bounded["samples"], bounded["until_reached"]), (600, False))
            exhausted = self.run_json("compute", *self.problem, *subset, "--until", "1e-6")
            self.assertEqual((exhausted["samples"], exhausted["relative_trace_standard_error"]), (1500, 0))
            self.assertTrue(exhausted["until_reached"])

    def test_text(self):
        self.assertRegex(self.run_tool("compute", *self.problem, "--subset", "importance:50").stdout,
                         r"trace .* \+- \S+ \(\S+%\) from 50 importance samples of 1,500")
        self.assertIn("would take more samples",
                      self.run_tool("compute", *self.problem, "--subset", "uniform:50", "--until", "1e-9").stdout)

    def test_sum(self):
        mean = self.run_json("compute", *self.problem, "--subset", "importance:300")
        total = self.run_json("compute", *self.problem, "--subset", "importance:300", "--normalize", "sum")
        # Each value is rounded to float once: 2^-24 relative.
        self.assertAlmostEqual(total["trace"] / mean["trace"], 1500, delta=1500e-6)
        self.assertAlmostEqual(total["trace_standard_error"] / mean["trace_standard_error"], 1500, delta=1e-6)

    def test_usage(self):
        compute = ["compute", *self.problem]
        for value in ["uniform", "importance", "all:5", "importance:0", "importance:-1", "uniform:5x", "uniform:", ":5",
                      "random:5", "importance:1.5"]:
            self.assert_fails(2, compute + ["--subset", value], "--subset", value)
        for value in ["0", "-1", "nan", "inf", "small", "1e-2x"]:
            self.assert_fails(2, compute + ["--until", value], "--until")
        self.assert_fails(2, compute + ["--subset", "uniform:5", "--max-samples", "5"], "--max-samples")
        batched = compute + ["--estimator", "batched"]
        self.assert_fails(2, batched + ["--until", "0.1"], "--until", "batched")
        self.assert_fails(2, batched + ["--subset", "importance:5"], "importance", "batched")
        self.assertEqual(self.run_json(*batched, "--subset", "uniform:50")["trace_standard_error"], None)


if __name__ == "__main__":
    support.main()
