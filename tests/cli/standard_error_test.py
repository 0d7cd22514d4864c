"""fisherdiag compute --standard-error: what it writes, and that other verbs read such files."""

import support


class StandardErrorTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem(sizes=(6, 5, 3), samples=300)

    def compute(self, *arguments):
        return self.run_json("compute", *self.problem, *arguments)

    def test_tensors_follow_under_their_own_names_and_change_nothing_else(self):
        plain = self.compute("-o", "plain.safetensors")
        with_errors = self.compute("--standard-error", "-o", "F.safetensors")
        self.assertEqual(plain["sha256"], with_errors["sha256"])
        self.assertNotIn("median_relative_standard_error", plain)
        self.assertGreater(with_errors["median_relative_standard_error"], 0)
        tensors, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        before, _, _ = support.read_safetensors(self.path("plain.safetensors"))
        self.assertIn("NAME.standard_error", metadata["standard_error"])
        self.assertEqual(sorted(tensors), sorted(list(before) + [name + ".standard_error" for name in before]))
        for name in before:
            self.assertEqual(tensors[name], before[name])

    def test_verbs_read_such_files_as_if_the_errors_were_not_there(self):
        plain = self.compute("-o", "plain.safetensors")
        self.compute("--standard-error", "-o", "F.safetensors")
        weights = self.problem[self.problem.index("--weights") + 1]
        values = [self.run_json("penalty", "--weights", weights, "--anchor", "plain.safetensors", "--fisher", fisher, "--lambda", "2")
                  for fisher in ["plain.safetensors", "F.safetensors"]]
        self.assertGreater(values[0]["penalty"], 0)
        self.assertEqual(values[0]["penalty"], values[1]["penalty"])
        self.assertEqual(self.run_tool("diff", "plain.safetensors", "F.safetensors").returncode, 0)
        self.assertEqual(self.run_tool("info", "F.safetensors").returncode, 0)
        done = self.run_tool("merge", "F.safetensors", "F.safetensors", "-o", "M.safetensors")
        self.assertEqual(done.returncode, 0, done.stderr)
        merged, _, _ = support.read_safetensors(self.path("M.safetensors"))
        self.assertEqual(len(merged), 4)
        self.assertEqual(plain["parameters"], 53)

    def test_what_cannot_have_them_says_so(self):
        for arguments, word in [(["--estimator", "batched"], "batched"), (["--subset", "importance:50"], "importance"),
                                (["--checkpoint", "F.ckpt"], "--checkpoint"), (["--shard", "1/2"], "--shard")]:
            done = self.run_tool("compute", *self.problem, "--standard-error", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    support.main()
