"""Sequence models from the command line: a preset on made-up tokens, labels for each position, both likelihoods."""

import json
import struct

import support

ARCH = json.dumps({"sequence": [4], "layers": [
    {"type": "embedding", "name": "table", "tokens": 5, "out": 6},
    {"type": "positional_embedding", "name": "place"},
    {"type": "linear", "name": "attn.in_proj", "out": 18, "weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"},
    {"type": "attention", "heads": 2, "causal": True},
    {"type": "linear", "name": "attn.out_proj", "out": 6},
    {"type": "add", "from": ["attn.out_proj", "place"]},
    {"type": "layer_norm", "name": "norm"},
    {"type": "linear", "name": "head", "out": 5, "weight": "table.weight", "bias": False}]})
SHAPES = {"table.weight": [5, 6], "place.weight": [4, 6], "attn.in_proj_weight": [18, 6], "attn.in_proj_bias": [18],
          "attn.out_proj.weight": [6, 6], "attn.out_proj.bias": [6], "norm.weight": [6], "norm.bias": [6]}


def tiny_shapes():
    shapes = {"embedding.weight": [1024, 128], "position.weight": [64, 128]}
    for layer in range(4):
        for name, shape in {"norm1.weight": [128], "norm1.bias": [128], "self_attn.in_proj_weight": [384, 128],
                            "self_attn.in_proj_bias": [384], "self_attn.out_proj.weight": [128, 128],
                            "self_attn.out_proj.bias": [128], "norm2.weight": [128], "norm2.bias": [128],
                            "linear1.weight": [512, 128], "linear1.bias": [512], "linear2.weight": [128, 512],
                            "linear2.bias": [128]}.items():
            shapes["encoder.layers.%d.%s" % (layer, name)] = shape
    shapes.update({"encoder.norm.weight": [128], "encoder.norm.bias": [128], "head.weight": [10, 128], "head.bias": [10]})
    return shapes


def weights_file(shapes):
    tensors, seed = [], 1
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        scale = 1 / shape[-1] ** 0.5 if len(shape) == 2 else 0.3
        start = 1 if "norm" in name and name.endswith("weight") else 0
        tensors.append((name, shape, [start + scale * value for value in support.numbers(count, seed)]))
        seed += 1
    return support.safetensors_bytes(tensors)


def integer_npy(rows):
    data = b"".join(struct.pack("<%dq" % len(row), *row) for row in rows)
    return support.npy_bytes([len(rows), len(rows[0])], "<i8", data)


class SequenceTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        self.write("arch.json", ARCH.encode())
        self.write("W.safetensors", weights_file(SHAPES))
        self.write("X.npy", integer_npy([[0, 3, 3, 1], [4, 2, 0, 0], [1, 1, 1, 2]]))
        self.write("Y.npy", integer_npy([[3, 3, 1, 2], [2, 0, -100, -100], [1, 1, 2, 0]]))
        self.compute = ["compute", "--arch", "arch.json", "--weights", "W.safetensors", "--data", "X.npy"]

    def diagonal(self, *arguments):
        result = self.run_json(*self.compute, *arguments, "-o", "F.safetensors")
        tensors, metadata, _ = support.read_safetensors(self.path("F.safetensors"))
        return result, {name: values for name, (_, _, values) in tensors.items()}, metadata

    def test_preset_on_made_up_tokens(self):
        self.write("T.safetensors", weights_file(tiny_shapes()))
        for estimator in (["empirical"], ["sketch", "--mc-samples", "2"]):
            result = self.run_json("compute", "--arch", "transformer-tiny", "--weights", "T.safetensors", "--data",
                                   "synthetic:12", "--estimator", *estimator)
            self.assertEqual(result["parameters"], 933898)
            self.assertEqual(result["samples"], 12)
            self.assertGreater(result["trace"], 0)

    def test_units_of_the_likelihood(self):
        sequence, of_sequences, metadata = self.diagonal("--labels", "Y.npy")
        token, of_tokens, token_metadata = self.diagonal("--labels", "Y.npy", "--likelihood-unit", "token")
        self.assertEqual((sequence["likelihood_unit"], token["likelihood_unit"]), ("sequence", "token"))
        self.assertEqual((metadata["likelihood_unit"], token_metadata["likelihood_unit"]), ("sequence", "token"))
        self.assertEqual(set(of_sequences), set(SHAPES))
        self.assertNotEqual(of_sequences, of_tokens)
        exact = [self.diagonal("--estimator", "exact", "--likelihood-unit", unit)[1] for unit in ("sequence", "token")]
        self.assertEqual(exact[0], exact[1])

        self.run_json(*self.compute, "--labels", "Y.npy", "-o", "S.safetensors")
        self.run_json(*self.compute, "--labels", "Y.npy", "--likelihood-unit", "token", "-o", "T.safetensors")
        self.assert_fails(3, ["merge", "S.safetensors", "T.safetensors", "-o", "M.safetensors"], "unit of the likelihood")

    def test_check(self):
        for estimator in ("empirical", "exact", "mc", "sketch", "predicted", "batched"):
            report = self.run_json("check", *self.compute[1:], "--labels", "Y.npy", "--estimator", estimator)
            self.assertTrue(report["passed"], report)

    def test_labels_to_ignore(self):
        _, with_labels, _ = self.diagonal("--estimator", "exact", "--labels", "Y.npy")
        _, without, _ = self.diagonal("--estimator", "exact")
        self.assertLess(sum(with_labels["norm.bias"]), sum(without["norm.bias"]))
        self.write("Y1.npy", integer_npy([[3, 3, 1, 5], [2, 0, 1, 1], [1, 1, 2, 0]]))
        self.assert_fails(3, [*self.compute, "--labels", "Y1.npy"], "sample 0", "from 0 to 4")

    def test_synthetic_next_tokens(self):
        result = self.run_json(*self.compute[:-1], "synthetic:50")
        self.assertEqual(result["samples"], 50)
        self.assertGreater(result["trace"], 0)

    def test_bad_input(self):
        self.write("X1.npy", integer_npy([[0, 3, 3, 1], [4, 2, 5, 0], [1, 1, 1, 2]]))
        self.assert_fails(3, [*self.compute[:-1], "X1.npy", "--labels", "Y.npy"], "X1.npy", "sample 1", "position 2",
                          "'table'", "from 0 to 4")
        self.write("Y1.npy", support.label_npy([1, 2, 3]))
        self.assert_fails(3, [*self.compute, "--labels", "Y1.npy"], "one class label for each of 4 positions")
        self.assert_fails(2, [*self.compute, "--likelihood-unit", "word"], "--likelihood-unit")


if __name__ == "__main__":
    support.main()
