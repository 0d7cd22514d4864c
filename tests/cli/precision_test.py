"""fisherdiag compute --precision."""

import support

UNITS = ["amx_bf16", "avx512_bf16"]


class PrecisionTest(support.ToolTest):
    def test_float32_by_default(self):
        self.write_problem()
        result = self.run_json("compute", *self.problem, "-o", "F.safetensors")
        self.assertEqual(result["precision"], "float32")
        self.assertIsNone(result["precision_unit"])
        _, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        self.assertEqual(metadata["precision"], "float32")
        self.assertEqual(metadata["rounding_error"], "1e-5")
        self.assertNotIn("precision_unit", metadata)
        asked = self.run_json("compute", *self.problem, "--precision", "float32")
        self.assertEqual(asked["sha256"], result["sha256"])

    def test_bf16_where_the_machine_has_it(self):
        self.write_problem()
        done = self.run_tool("compute", *self.problem, "--precision", "bf16", "--json", "-o", "F.safetensors")
        if done.returncode == 4:
            self.assertIn("AVX512_BF16", done.stderr)
            self.skipTest("no bfloat16 products here")
        result = self.run_json("compute", *self.problem, "--precision", "bf16")
        self.assertEqual(result["precision"], "bf16")
        self.assertIn(result["precision_unit"], UNITS)
        self.assertEqual(result["rounding_error"], 5e-3)
        _, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        self.assertEqual(metadata["precision"], "bf16")
        self.assertEqual(metadata["precision_unit"], result["precision_unit"])
        self.assertEqual(metadata["rounding_error"], "5e-3")
        exact = self.run_json("compute", *self.problem)
        self.assertNotEqual(exact["sha256"], result["sha256"])
        # Every factor of an element is within 2^-8; a^2, Q and the two of Q's square make four: 1.6e-2.
        self.assertAlmostEqual(result["trace"] / exact["trace"], 1, delta=1.6e-2)
        for threads in ["1", "2", "3"]:
            again = self.run_json("compute", *self.problem, "--precision", "bf16", "--threads", threads)
            self.assertEqual(again["sha256"], result["sha256"])

    def test_refused_below_avx512(self):
        self.write_problem()
        arguments = ["compute", *self.problem, "--precision", "bf16", "-o", "F.safetensors"]
        for isa in ["baseline", "avx2"]:
            if self.run_tool("compute", *self.problem, "--isa", isa).returncode != 0:
                continue
            self.assert_fails(4, arguments, "bf16", isa, environment={"FISHERDIAG_ISA": isa})
            self.assert_fails(4, [*arguments, "--isa", isa], "bf16", isa)
        with self.assertRaises(FileNotFoundError):
            self.read("F.safetensors")

    def test_batched_has_none(self):
        self.write_problem()
        code = 4 if self.run_tool("compute", *self.problem, "--precision", "bf16").returncode == 4 else 3
        self.assert_fails(code, ["compute", *self.problem, "--precision", "bf16", "--estimator", "batched"], "bf16")

    def test_unknown(self):
        self.write_problem()
        self.assert_fails(2, ["compute", *self.problem, "--precision", "fp8"], "--precision")


if __name__ == "__main__":
    support.main()
