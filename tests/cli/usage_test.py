"""Help, version, and everything that is wrong with a command line: exit code 2 and one sentence."""

import support

VERBS = ["compute", "check", "penalty", "merge", "diff", "info", "train", "continual", "toy", "machine"]


class HelpTest(support.ToolTest):
    def test_help_lists_every_verb(self):
        done = self.run_tool("--help")
        self.assertEqual(done.returncode, 0)
        for verb in VERBS:
            self.assertIn("\n  %s " % verb, done.stdout)

    def test_every_verb_shows_examples_before_options(self):
        for verb in VERBS:
            done = self.run_tool(verb, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertLess(done.stdout.index("Examples:\n  fisherdiag %s" % verb), done.stdout.index("Options:"))
            for option in ["--json", "--quiet", "--threads", "--isa"]:
                self.assertIn(option, done.stdout)

    def test_version(self):
        done = self.run_tool("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^fisherdiag \d+\.\d+\.\d+ ")


class UsageTest(support.ToolTest):
    def test_verbs(self):
        self.assert_fails(2, [], "verb")
        self.assert_fails(2, ["compte"], "'compte'", "did you mean 'compute'")
        self.assert_fails(2, ["xyzzy"], "'xyzzy'")

    def test_options(self):
        self.assert_fails(2, ["compute", "--wieghts", "W"], "'--wieghts'", "did you mean '--weights'")
        self.assert_fails(2, ["--bogus"], "'--bogus'")
        self.assert_fails(2, ["compute", "--weights", "W"], "--data")
        self.assert_fails(2, ["info", "A", "B"], "'B'")

    def test_values(self):
        compute = ["compute", "--weights", "W", "--data", "X"]
        for option, value in [("--threads", "0"), ("--threads", "-1"), ("--threads", "two"), ("--mc-samples", "0"),
                              ("--batch-size", "0"), ("--max-samples", "0"), ("--seed", "-1"),
                              ("--estimator", "fischer"), ("--likelihood", "normal"), ("--normalize", "median")]:
            self.assert_fails(2, compute + [option, value], option)
        self.assert_fails(2, compute + ["--max-memory", "2 parsecs"], "2 parsecs")

    def test_instruction_set(self):
        self.assert_fails(2, ["info", "F", "--isa", "sse9"], "sse9", "baseline")
        self.assert_fails(2, ["info", "F"], "sse9", environment={"FISHERDIAG_ISA": "sse9"})

    def test_malformed_names(self):
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([4, 3])))
        weights = ["compute", "--weights", "W.safetensors"]
        self.assert_fails(2, weights + ["--arch", "mlp:4-x", "--data", "synthetic:9"], "mlp:4-x")
        self.assert_fails(2, weights + ["--arch", "mlp:4-3", "--data", "synthetic:many"], "synthetic:many")

    def test_combinations(self):
        self.write_problem()
        penalty = ["penalty", "--weights", "W.safetensors", "--anchor", "W.safetensors", "--lambda", "1"]
        self.assert_fails(2, penalty + ["--fisher", "A", "B"], "pairs")
        self.assert_fails(2, penalty + ["--fisher", "A", "--gamma", "0.5"], "--gamma")
        self.assert_fails(2, penalty + ["--fisher", "A", "--form", "online", "--gamma", "1.5"], "--gamma")
        self.assert_fails(2, ["merge", "A", "-o", "B", "--decay", "0"], "--decay")
        self.assert_fails(2, ["compute", *self.problem, "-o", "W.safetensors"], "W.safetensors")
        self.assert_fails(2, ["train", "--arch", self.arch, "--data", "synthetic:9", "--momentum", "0.9"], "--momentum")


if __name__ == "__main__":
    support.main()
