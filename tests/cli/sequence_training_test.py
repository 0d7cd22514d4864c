"""Training sequence models from the command line: next tokens, then EWC on a second task, one command after the other."""

import json
import struct

import support

ARCH = json.dumps({"sequence": [4], "layers": [
    {"type": "embedding", "name": "table", "tokens": 5, "out": 8},
    {"type": "positional_embedding", "name": "place"},
    {"type": "linear", "name": "in_proj", "out": 24},
    {"type": "attention", "heads": 2, "causal": True},
    {"type": "linear", "name": "out_proj", "out": 8},
    {"type": "add", "from": ["out_proj", "place"]},
    {"type": "layer_norm", "name": "norm"},
    {"type": "linear", "name": "head", "out": 5, "weight": "table.weight", "bias": False}]})


def integer_npy(rows):
    return support.npy_bytes([len(rows), len(rows[0])], "<i8",
                             b"".join(struct.pack("<%dq" % len(row), *row) for row in rows))


def ruled(step, count=60):
    """Sequences in which token is followed by 3 token + step modulo 5, and what follows each."""
    rows = []
    for n in range(count):
        row = [n % 5]
        while len(row) < 5:
            row.append((3 * row[-1] + step) % 5)
        rows.append(row)
    return [row[:-1] for row in rows], [row[1:] for row in rows]


class SequenceTrainingTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("arch.json", ARCH.encode())
        for name, step in [("A", 1), ("B", 2)]:
            inputs, labels = ruled(step)
            self.write("X%s.npy" % name, integer_npy(inputs))
            self.write("Y%s.npy" % name, integer_npy(labels))

    def train(self, task, output, *arguments):
        return self.run_json("train", "--data", "X%s.npy" % task, "--labels", "Y%s.npy" % task, "--test-data", "XA.npy",
                             "--test-labels", "YA.npy", "--batch-size", "10", "--learning-rate", "0.02", "-o", output,
                             *arguments)

    def test_train_compute_train_with_ewc(self):
        first = self.train("A", "W.safetensors", "--arch", "arch.json", "--epochs", "60")
        self.assertEqual(first["positions"], 4)
        # The rule has no exception.
        self.assertEqual(first["test_accuracy"], 1)
        self.assertLess(first["test_nll"], 0.2)
        self.assertAlmostEqual(first["test_nll_per_token"], first["test_nll"] / 4)
        self.assertIsNone(first["penalty"])
        report = self.run_json("check", "--weights", "W.safetensors", "--data", "XA.npy", "--labels", "YA.npy",
                               "--estimator", "exact")
        self.assertTrue(report["passed"], report)
        fisher = self.run_json("compute", "--weights", "W.safetensors", "--data", "XA.npy", "--labels", "YA.npy",
                               "--estimator", "exact", "-o", "F.safetensors")
        self.assertEqual(fisher["weights_sha256"], first["weights_sha256"])

        second = ["--weights", "W.safetensors", "--epochs", "20", "--schedule", "constant"]
        free = self.train("B", "free.safetensors", *second)
        self.assertLess(free["test_accuracy"], 0.4)
        ewc = [*second, "--anchor", "W.safetensors", "--fisher", "F.safetensors", "--lambda"]
        held = self.train("B", "held.safetensors", *ewc, "1e6")
        self.assertGreater(held["test_accuracy"], free["test_accuracy"] + 0.3)
        self.assertGreater(held["penalty"], 0)
        self.assertEqual((held["lambda"], held["form"], held["weights"]), (1e6, "separate", "W.safetensors"))
        _, metadata, _ = support.read_safetensors(self.path("held.safetensors"))
        self.assertEqual((metadata["started_from"], metadata["ewc_lambda"], metadata["ewc_tasks"]),
                         ("W.safetensors", "1000000.0", "1"))
        again = self.run_json("penalty", "--weights", "held.safetensors", "--anchor", "W.safetensors", "--fisher",
                              "F.safetensors", "--lambda", "1e6")
        self.assertEqual(again["penalty"], held["penalty"])
        # No strength is no penalty, whatever the form.
        for form in ("separate", "merged", "online"):
            none = self.train("B", "none.safetensors", *ewc, "0", "--form", form)
            self.assertEqual(none["weights_sha256"], free["weights_sha256"])
            self.assertEqual(none["penalty"], 0)

    def test_threads_do_not_matter(self):
        runs = [self.train("A", "W.safetensors", "--arch", "arch.json", "--epochs", "2", "--threads", threads)
                for threads in "1237"]
        self.assertEqual(len({run["weights_sha256"] for run in runs}), 1)
        self.assertEqual(len({run["test_nll"] for run in runs}), 1)

    def test_labels_to_ignore(self):
        inputs, labels = ruled(1)
        self.write("Y1.npy", integer_npy([[-100, *row[1:]] for row in labels]))
        result = self.run_json("train", "--arch", "arch.json", "--data", "XA.npy", "--labels", "Y1.npy", "--test-data",
                               "XA.npy", "--test-labels", "Y1.npy", "--epochs", "1")
        self.assertAlmostEqual(result["test_nll_per_token"], result["test_nll"] / 3)
        self.write("Y0.npy", integer_npy([[-100] * 4 for _ in labels]))
        self.assert_fails(3, ["train", "--arch", "arch.json", "--data", "XA.npy", "--labels", "Y0.npy"], "XA.npy",
                          "all labels are -100")

    def test_text_says_tokens(self):
        done = self.run_tool("train", "--arch", "arch.json", "--data", "synthetic:50", "--test-data", "synthetic:20",
                             "--epochs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("nats a sequence", "a token", "% of tokens"):
            self.assertIn(words, done.stdout)

    def test_continual(self):
        study = ["continual", "--tasks", "A-then-B", "--arch", "arch.json", "--task-a", "XA.npy", "--task-a-labels",
                 "YA.npy", "--task-b", "XB.npy", "--task-b-labels", "YB.npy", "--iterations", "400", "--batch-size", "10",
                 "--learning-rate", "0.01", "--methods", "none,joint,ewc-online:exact", "--lambda", "1e6"]
        results = self.run_json(*study)
        accuracy = {run["method"]: run["accuracy"] for run in results["runs"]}
        self.assertEqual(accuracy["none"][0][0], 1)
        self.assertLess(accuracy["none"][1][0], 0.4)
        self.assertEqual(accuracy["none"][1][1], 1)
        self.assertGreater(accuracy["ewc-online"][1][0], accuracy["none"][1][0] + 0.3)

    def test_refused(self):
        train = ["train", "--arch", "arch.json", "--data", "XA.npy", "--labels", "YA.npy"]
        self.write("one.npy", support.label_npy([1] * 60))
        self.assert_fails(3, [*train[:-1], "one.npy"], "XA.npy", "each of the network's 4 positions")
        self.assert_fails(3, train[:-2], "XA.npy", "each of the network's 4 positions")
        inputs, labels = ruled(1)
        self.write("Y5.npy", integer_npy([*labels[:7], [1, 2, 5, 0], *labels[8:]]))
        self.assert_fails(3, [*train[:-1], "Y5.npy"], "Y5.npy", "from 0 to 4")
        self.assert_fails(4, ["continual", "--tasks", "split-fashion-mnist", "--arch", "arch.json", "--methods", "none"],
                          "4 positions")
        self.assert_fails(2, ["train", "--data", "XA.npy"], "--arch")
        self.assert_fails(2, [*train, "--lambda", "3"], "--lambda", "--anchor")
        self.assert_fails(2, [*train, "--form", "merged"], "--form", "--anchor")
        ewc = ["--anchor", "A.safetensors", "--fisher", "F.safetensors"]
        self.assert_fails(2, [*train, *ewc], "--lambda")
        self.assert_fails(2, [*train, *ewc[:2], "--lambda", "3"], "--fisher", "1 and 0")
        self.assert_fails(2, [*train, *ewc, "--lambda", "-3"], "--lambda")
        self.assert_fails(3, [*train, *ewc, "--lambda", "3"], "A.safetensors")
        self.train("A", "W.safetensors", "--arch", "arch.json", "--epochs", "1")
        self.write("F.safetensors", support.safetensors_bytes([("table.weight", [5, 8], [1.0] * 40)]))
        self.assert_fails(3, [*train, "--anchor", "W.safetensors", "--fisher", "F.safetensors", "--lambda", "3"],
                          "F.safetensors")
        self.assert_fails(2, [*train, "--weights", "W.safetensors", "-o", "W.safetensors"], "both an input and the output")


if __name__ == "__main__":
    support.main()
