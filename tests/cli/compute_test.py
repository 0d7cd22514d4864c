"""fisherdiag compute: numbers, JSON, files, determinism."""

import hashlib
import json

import support

KEYS = ["estimator", "samples", "parameters", "threads", "isa", "seconds", "samples_per_second", "flops",
        "peak_rss_bytes", "sha256", "likelihood", "normalization", "draws", "seed", "trace", "reading_seconds", "output",
        "version", "data", "weights_sha256"]


class NumbersTest(support.ToolTest):
    def test_two_samples_by_hand(self):
        # All parameters 0, so p = (1/2, 1/2) and the residual is -+1/2: F_W = mean x^2 / 4, F_b = 1/4 for both classes.
        self.write("W.safetensors", support.safetensors_bytes([("0.weight", [2, 1], [0, 0]), ("0.bias", [2], [0, 0])]))
        self.write("X.npy", support.float_npy([[1.0], [3.0]]))
        self.write("Y.npy", support.label_npy([0, 1]))
        for estimator in ["empirical", "exact", "sketch", "predicted", "mc"]:
            self.run_json("compute", "--arch", "mlp:1-2", "--weights", "W.safetensors", "--data", "X.npy", "--labels",
                          "Y.npy", "--estimator", estimator, "-o", "F.safetensors")
            tensors, _, _ = support.read_safetensors(self.path("F.safetensors"))
            for value in tensors["0.weight"][2]:
                # A handful of float operations of relative error 2^-24 each.
                self.assertAlmostEqual(value, 1.25, delta=1e-6)
            for value in tensors["0.bias"][2]:
                self.assertAlmostEqual(value, 0.25, delta=1e-6)

    def test_sum_is_samples_times_mean(self):
        self.write_problem(samples=40)
        mean = self.run_json("compute", *self.problem)
        total = self.run_json("compute", *self.problem, "--normalize", "sum")
        self.assertEqual(total["normalization"], "sum")
        # Each value is rounded to float once: 2^-24 relative.
        self.assertAlmostEqual(total["trace"] / mean["trace"], 40, delta=40e-6)

    def test_subset(self):
        self.write_problem(samples=40)
        self.assertEqual(self.run_json("compute", *self.problem, "--max-samples", "7")["samples"], 7)
        self.assertEqual(self.run_json("compute", *self.problem, "--max-samples", "99")["samples"], 40)

    def test_gzipped_idx(self):
        pixels = bytes(range(0, 240, 10))
        self.write("images.idx", support.idx_bytes([4, 2, 3], pixels))
        self.write_gzip("images.gz", support.idx_bytes([4, 2, 3], pixels))
        self.write_gzip("labels.gz", support.idx_bytes([4], bytes([0, 1, 2, 1])))
        self.write("pixels.npy", support.npy_bytes([4, 6], "<f4", support.floats([p / 255 for p in pixels])))
        self.write("W.safetensors", support.safetensors_bytes(support.mlp_tensors([6, 3])))
        weights = ["compute", "--arch", "mlp:6-3", "--weights", "W.safetensors", "--labels", "labels.gz"]
        shas = {self.run_json(*weights, "--data", data)["sha256"] for data in ["images.idx", "images.gz", "pixels.npy"]}
        self.assertEqual(len(shas), 1)


class ResultTest(support.ToolTest):
    def test_json_keys(self):
        self.write_problem()
        result = self.run_json("compute", *self.problem, "--estimator", "mc", "--mc-samples", "3", "--seed", "5")
        for key in KEYS:
            self.assertIn(key, result)
        self.assertEqual((result["estimator"], result["draws"], result["seed"]), ("mc", 3, 5))
        self.assertEqual((result["samples"], result["parameters"], result["output"]), (40, 53, None))
        self.assertNotIn("batch_size", result)
        batched = self.run_json("compute", *self.problem, "--estimator", "batched", "--batch-size", "8")
        self.assertEqual(batched["batch_size"], 8)

    def test_file_has_keys_and_shapes_of_the_weights(self):
        layers = [{"type": "linear", "name": "encoder.fc", "in": 6, "out": 5}, {"type": "tanh"},
                  {"type": "linear", "name": "head", "in": 5, "out": 3}]
        tensors = [(name.replace("0.", "encoder.fc.").replace("2.", "head."), shape, values)
                   for name, shape, values in support.mlp_tensors([6, 5, 3])]
        self.write_problem()
        metadata = {"fisherdiag.arch": json.dumps({"layers": layers})}
        self.write("W.safetensors", support.safetensors_bytes(list(reversed(tensors)), metadata))
        result = self.run_json("compute", "--weights", "W.safetensors", "--data", "X.npy", "--labels", "Y.npy", "-o",
                               "F.safetensors")
        written, metadata, data = support.read_safetensors(self.path("F.safetensors"))
        self.assertEqual({name: ("F32", shape) for name, shape, _ in tensors},
                         {name: entry[:2] for name, entry in written.items()})
        self.assertEqual(result["sha256"], hashlib.sha256(data).hexdigest())
        # Double sum of floats in both.
        self.assertAlmostEqual(result["trace"], sum(sum(entry[2]) for entry in written.values()), delta=1e-9)
        for key, value in [("estimator", "empirical"), ("samples", "40"), ("normalization", "mean"),
                           ("likelihood", "categorical"), ("weights_sha256", result["weights_sha256"]),
                           ("isa", result["isa"]), ("version", result["version"])]:
            self.assertEqual(metadata[key], value)

    def test_same_bits_for_any_number_of_threads(self):
        self.write_problem(sizes=(20, 33, 17, 5), samples=700)
        for estimator in ["empirical", "exact", "mc", "sketch", "batched"]:
            runs = [self.run_json("compute", *self.problem, "--estimator", estimator, "--threads", threads)
                    for threads in ["1", "2", "3", "7"]]
            self.assertEqual([run["threads"] for run in runs], [1, 2, 3, 7])
            self.assertEqual(len({run["sha256"] for run in runs}), 1)

    def test_instruction_set_is_obeyed(self):
        self.write_problem()
        self.assertEqual(self.run_json("compute", *self.problem, "--isa", "baseline")["isa"], "baseline")
        from_environment = self.run_json("compute", *self.problem, environment={"FISHERDIAG_ISA": "baseline"})
        self.assertEqual(from_environment["isa"], "baseline")


class SpeechTest(support.ToolTest):
    def test_threads_are_told_and_explained(self):
        self.write_problem()
        self.assertRegex(self.run_tool("compute", *self.problem).stderr, r"\d+ threads? \(CPU (affinity|quota)\)")
        self.assertIn("3 threads (--threads)", self.run_tool("compute", *self.problem, "--threads", "3").stderr)

    def test_quiet(self):
        self.write_problem()
        self.assertEqual(self.run_tool("compute", *self.problem, "--quiet").stderr, "")

    def test_summary_without_output(self):
        self.write_problem()
        done = self.run_tool("compute", *self.problem)
        self.assertEqual(done.returncode, 0)
        self.assertIn("nothing written", done.stdout)
        self.assertIn("40 samples", done.stdout)

    def test_no_progress_without_terminal(self):
        self.write_problem()
        self.assertNotIn("\r", self.run_tool("compute", *self.problem).stderr)


if __name__ == "__main__":
    support.main()
