"""fisherdiag train, check and machine."""

import struct

import support


class TrainTest(support.ToolTest):
    def test_learns_and_saves_what_it_says(self):
        result = self.run_json("train", "--arch", "mlp:16-32-4", "--data", "synthetic:2000", "--test-data", "synthetic:400",
                               "--epochs", "20", "--batch-size", "50", "-o", "W.safetensors")
        for key in ["test_accuracy", "test_nll", "train_loss", "seconds", "epochs", "parameters", "threads", "isa", "output"]:
            self.assertIn(key, result)
        self.assertEqual((result["epochs"], result["iterations"], result["parameters"]), (20, 800, 676))
        # Chance is 0.25; a network that does not learn stays within a few percent of it.
        self.assertGreater(result["test_accuracy"], 0.5)
        tensors, metadata, _ = support.read_safetensors(self.path("W.safetensors"))
        self.assertEqual({name: entry[1] for name, entry in tensors.items()},
                         {"0.weight": [32, 16], "0.bias": [32], "2.weight": [4, 32], "2.bias": [4]})
        self.assertIn("fisherdiag.arch", metadata)
        fisher = self.run_json("compute", "--weights", "W.safetensors", "--data", "synthetic:100")
        self.assertEqual(fisher["weights_sha256"], result["weights_sha256"])

    def test_same_bits_for_any_number_of_threads(self):
        train = ["train", "--arch", "mlp:10-20-3:tanh", "--data", "synthetic:300", "--epochs", "2", "--optimizer", "sgd",
                 "--momentum", "0.9", "--seed", "4"]
        self.assertEqual(len({self.run_json(*train, "--threads", threads)["weights_sha256"] for threads in "1237"}), 1)

    def test_regression(self):
        self.write("X.npy", support.float_npy([support.numbers(3, n) for n in range(60)]))
        self.write("Y.npy", support.float_npy([[row[0] - row[1], 2 * row[2]] for row in
                                               (support.numbers(3, n) for n in range(60))]))
        result = self.run_json("train", "--arch", "mlp:3-2", "--data", "X.npy", "--labels", "Y.npy", "--test-data", "X.npy",
                               "--test-labels", "Y.npy", "--likelihood", "gaussian", "--epochs", "300", "--batch-size", "20",
                               "--optimizer", "sgd")
        self.assertIsNone(result["test_accuracy"])
        # The targets are linear in the inputs: the loss above its constant goes to 0, and the constant is log(2 pi) at most.
        self.assertLess(result["train_loss"], 1.8379)

    def test_bad_label_names_the_files(self):
        self.write_problem()
        self.write("bad.npy", support.label_npy([9] * 40))
        self.assert_fails(3, ["train", "--arch", self.arch, "--data", "X.npy", "--labels", "bad.npy", "-o", "T.safetensors"],
                          "bad.npy", "9")
        self.assert_fails(3, ["train", "--arch", self.arch, "--data", "X.npy", "--labels", "Y.npy", "--test-data", "gone.npy"],
                          "gone.npy")


class CheckTest(support.ToolTest):
    def assert_passes(self, arguments, estimators):
        for estimator in estimators:
            result = self.run_json("check", *arguments, "--estimator", estimator, "--mc-samples", "3", "--batch-size", "3")
            self.assertTrue(result["passed"])
            for layer in result["layers"]:
                self.assertTrue(layer["passed"])
                self.assertLessEqual(layer["fisher_error"], 1e-5)
                self.assertLessEqual(layer["gradient_error"], 1e-6)
                self.assertGreater(layer["differences"] + layer["kinks_skipped"], 0)

    def test_categorical(self):
        self.write_problem(sizes=(12, 9, 7, 4))
        self.assert_passes(self.problem, ["empirical", "exact", "mc", "sketch", "predicted", "batched"])
        for activation in ["tanh", "sigmoid"]:
            self.assert_passes(["--arch", self.arch + ":" + activation, *self.problem[2:]], ["empirical", "exact"])

    def test_other_likelihoods(self):
        self.write_problem(sizes=(6, 5, 3))
        arguments = self.problem[:-1] + ["T.npy"]
        for likelihood, targets in [("gaussian", [0.5, -1.25, 2.0]), ("bernoulli", [0, 1, 1]), ("poisson", [0, 3, 1])]:
            self.write("T.npy", support.npy_bytes([40, 3], "<f4", struct.pack("<120f", *targets * 40)))
            estimators = ["empirical", "exact", "mc", "sketch", "batched"]
            self.assert_passes(arguments + ["--likelihood", likelihood],
                               estimators + ([] if likelihood == "gaussian" else ["predicted"]))

    def test_without_labels(self):
        self.write_problem()
        self.assert_passes(self.problem[:-2], ["exact", "mc"])
        self.assert_fails(3, ["check", *self.problem[:-2]], "X.npy", "label")

    def test_bad_label(self):
        self.write_problem()
        self.write("bad.npy", support.label_npy([9] * 40))
        for estimator in ["empirical", "exact"]:
            self.assert_fails(3, ["check", *self.problem[:-1], "bad.npy", "--estimator", estimator], "bad.npy", "9")

    def test_table(self):
        self.write_problem()
        done = self.run_tool("check", *self.problem, "--samples", "5")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?m)^0\.weight .* pass$")
        self.assertIn("passed: empirical on 5 samples", done.stdout)


class MachineTest(support.ToolTest):
    def test_keys(self):
        result = self.run_json("machine", "--threads", "2")
        for key in ["cpu", "cores", "threads", "isa", "isas", "caches", "peak_flops", "bandwidth"]:
            self.assertIn(key, result)
        self.assertEqual(result["threads"], 2)
        self.assertIn(result["isa"], result["isas"])
        self.assertIn("baseline", result["isas"])
        for rates in [result["peak_flops"], result["bandwidth"], *result["peak_flops_by_isa"].values()]:
            self.assertEqual(sorted(rates), ["1", "all"])
            self.assertGreater(min(rates.values()), 0)


if __name__ == "__main__":
    support.main()
