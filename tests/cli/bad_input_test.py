"""Files that are not what they should be: one sentence naming file and reason, exit 3, and no output."""

import json
import os
import struct

import support

SENTINEL = b"what was here before"
NAN = float("nan")


class BadInputTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write_problem(sizes=(6, 5, 3), samples=40)
        self.tensors = support.mlp_tensors([6, 5, 3])

    def assert_rejected(self, *words, code=3, **changes):
        """compute with some inputs replaced fails, leaves no output and an existing one as it was."""
        inputs = dict({"arch": self.arch, "weights": "W.safetensors", "data": "X.npy", "labels": "Y.npy"}, **changes)
        arguments = ["compute"]
        for option, value in inputs.items():
            arguments += ["--" + option, value] if value else []
        before = sorted(os.listdir(self.folder))
        self.assert_fails(code, arguments + ["-o", "F.safetensors"], *words)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        self.write("F.safetensors", SENTINEL)
        self.assert_fails(code, arguments + ["-o", "F.safetensors"], *words)
        self.assertEqual(self.read("F.safetensors"), SENTINEL)
        os.remove(self.path("F.safetensors"))
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def reject_weights(self, content, *words):
        self.assert_rejected("bad.safetensors", *words, weights=self.write("bad.safetensors", content))

    def reject_data(self, name, content, *words):
        self.assert_rejected(name, *words, data=self.write(name, content))

    def test_missing_files(self):
        self.assert_rejected("gone.safetensors", "No such file", weights="gone.safetensors")
        self.assert_rejected("gone.npy", "No such file", data="gone.npy")
        self.assert_rejected("gone.npy", "No such file", labels="gone.npy")
        self.assert_rejected("gone.json", arch="gone.json")

    def test_wrong_magic(self):
        self.reject_weights(b"\x93NUMPY\x01\x00" + b"not a safetensors file at all", "header")
        self.reject_data("bad.npy", b"PNG not an array, not an image", "magic")
        self.reject_data("bad.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 40)

    def test_truncated(self):
        whole = self.read("W.safetensors")
        for size in [0, 5, 30, len(whole) - 1]:
            self.reject_weights(whole[:size])
        array = self.read("X.npy")
        for size in [0, 5, 40, len(array) - 1]:
            self.reject_data("bad.npy", array[:size])
        idx = support.idx_bytes([40, 6], bytes(240))
        self.reject_data("bad.idx", idx[:-1])

    def test_truncated_gzip(self):
        image = support.idx_bytes([40, 6], bytes(support.struct.pack("<240f", *support.numbers(240, 3)))[:240])
        self.write_gzip("whole.gz", image)
        whole = self.read("whole.gz")
        for size in [12, len(whole) // 2, len(whole) - 4]:
            self.reject_data("bad.gz", whole[:size])
        self.reject_data("bad.gz", whole[:-8] + b"\0\0\0\0" + whole[-4:])

    def test_label_outside_the_classes(self):
        labels = [0] * 40
        labels[17] = 3
        self.assert_rejected("bad.npy", "sample 17", "3", labels=self.write("bad.npy", support.label_npy(labels)))
        labels[17] = -1
        self.assert_rejected("bad.npy", labels=self.write("bad.npy", support.label_npy(labels)))

    def test_nan_and_infinity(self):
        for value in [NAN, float("inf")]:
            self.tensors[2][2][4] = value
            self.reject_weights(support.safetensors_bytes(self.tensors), "2.weight", "4")
            rows = [support.numbers(6, n) for n in range(40)]
            rows[23][2] = value
            self.reject_data("bad.npy", support.float_npy(rows), "23", "2")

    def test_shape_mismatch(self):
        transposed = [(name, list(reversed(shape)), values) for name, shape, values in self.tensors]
        self.reject_weights(support.safetensors_bytes(transposed), "0.weight", "[6, 5]", "[5, 6]")
        self.reject_data("bad.npy", support.float_npy([[0.0] * 7] * 40), "7", "6")
        self.assert_rejected("39", "40", labels=self.write("bad.npy", support.label_npy([0] * 39)))

    def test_keys(self):
        extra = self.tensors + [("surprise", [1], [0.0])]
        self.reject_weights(support.safetensors_bytes(extra), "surprise")
        self.reject_weights(support.safetensors_bytes(self.tensors[:-1]), "2.bias")
        entry = '"0.weight":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
        twice = "{%s,%s}" % (entry % (0, 4), entry % (4, 8))
        self.reject_weights(support.raw_safetensors(twice, bytes(8)), "0.weight")

    def test_overflowing_sizes(self):
        for shape in [[2**32, 2**32], [2**63, 2], [2**62, 4]]:
            header = json.dumps({"0.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}})
            self.reject_weights(support.raw_safetensors(header, b""))
        self.reject_weights(struct.pack("<Q", 2**64 - 8) + b"{}")
        self.reject_data("bad.npy", support.npy_bytes([2**33, 2**33], "<f4", b""))
        self.reject_data("bad.idx", support.idx_bytes([2**32 - 1] * 4, b""))

    def test_unsupported_dtypes(self):
        header = json.dumps({"0.weight": {"dtype": "F8_E4M3", "shape": [1, 4], "data_offsets": [0, 4]},
                             "0.bias": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [4, 5]}})
        self.assert_rejected("bad.safetensors", "F8_E4M3", arch="mlp:4-1",
                             weights=self.write("bad.safetensors", support.raw_safetensors(header, bytes(5))))
        self.reject_data("bad.npy", support.npy_bytes([40, 6], "|O", bytes(1920)))

    def test_no_samples(self):
        self.reject_data("bad.npy", support.npy_bytes([0, 6], "<f4", b""), "no samples")
        self.assert_rejected("no samples", data="synthetic:0", labels=None)

    def test_missing_labels(self):
        self.assert_rejected("X.npy", "label", labels=None)

    def test_unsupported_layer(self):
        layers = [{"type": "linear", "in": 6, "out": 5}, {"type": "conv2d", "name": "features.3"}]
        self.write("arch.json", json.dumps({"layers": layers}).encode())
        self.assert_rejected("features.3", "conv2d", code=4, arch="arch.json")

    def test_architecture_file(self):
        self.assert_rejected("arch.json", arch=self.write("arch.json", b'{"layers": [{"type": "linear"'))
        self.assert_rejected("arch.json", arch=self.write("arch.json", b'{"layers": [{"type": "linear"}]}'))

    def test_memory_bound(self):
        arguments = ["compute", *self.problem, "-o", "F.safetensors", "--max-memory", "100B"]
        self.assert_fails(3, arguments, "needs")
        self.assertFalse(os.path.exists(self.path("F.safetensors")))


class BadFisherTest(support.ToolTest):
    """The verbs that read Fisher files."""

    def setUp(self):
        super().setUp()
        self.good = self.write_fisher("good.safetensors", [("a", [2], [1, 2])])

    def write_fisher(self, name, tensors, **metadata):
        return self.write(name, support.safetensors_bytes(tensors, dict({"samples": "5"}, **metadata)))

    def assert_rejected(self, bad, *words):
        self.assert_fails(3, ["diff", self.good, bad], bad, *words)
        self.assert_fails(3, ["merge", self.good, bad, "-o", "F.safetensors", "--force"], bad, *words)
        self.assertFalse(os.path.exists(self.path("F.safetensors")))

    def assert_penalty_rejected(self, bad, *words):
        penalty = ["penalty", "--weights", self.good, "--lambda", "1", "--grad-out", "F.safetensors"]
        self.assert_fails(3, penalty + ["--anchor", self.good, "--fisher", bad], bad, *words)
        self.assertFalse(os.path.exists(self.path("F.safetensors")))

    def test_missing(self):
        self.assert_rejected("gone.safetensors", "No such file")
        self.assert_penalty_rejected("gone.safetensors", "No such file")

    def test_values(self):
        negative = self.write_fisher("negative.safetensors", [("a", [2], [1, -2])])
        self.assert_rejected(negative, "'a'", "element 1")
        self.assert_penalty_rejected(negative, "negative")
        not_finite = self.write_fisher("nan.safetensors", [("a", [2], [NAN, 2])])
        self.assert_rejected(not_finite, "'a'", "element 0")
        self.assert_penalty_rejected(not_finite, "'a'", "element 0")

    def test_keys_and_shapes(self):
        for name, tensors, word in [("key", [("b", [2], [1, 2])], "'a'"), ("shape", [("a", [1, 2], [1, 2])], "[1, 2]"),
                                    ("more", [("a", [2], [1, 2]), ("b", [1], [1])], "'b'")]:
            bad = self.write_fisher(name + ".safetensors", tensors)
            self.assert_rejected(bad, word)
            self.assert_penalty_rejected(bad, word)

    def test_metadata(self):
        self.assert_rejected(self.write_fisher("bad.safetensors", [("a", [2], [1, 2])], estimator="guess"), "guess")
        self.assert_rejected(self.write_fisher("bad.safetensors", [("a", [2], [1, 2])], samples="-3"), "-3")

    def test_info(self):
        self.write("bad.safetensors", b"short")
        self.assert_fails(3, ["info", "bad.safetensors"], "bad.safetensors")
        self.assert_fails(3, ["info", "gone.safetensors"], "gone.safetensors")
        self.assert_fails(3, ["info", "."], "is a folder")


if __name__ == "__main__":
    support.main()
