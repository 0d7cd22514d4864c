"""The C interface: by ctypes alone against the tool, and from PyTorch hooks for a model the engine does not cover."""

import array
import ctypes
import os
import sys
import unittest

import support

TORCH_PYTHON = os.environ.get("FISHERDIAG_TORCH_PYTHON", "")
try:
    import numpy
    import torch
except ImportError:
    if TORCH_PYTHON and os.path.abspath(TORCH_PYTHON) != os.path.abspath(sys.executable):
        os.execv(TORCH_PYTHON, [TORCH_PYTHON, "-B", *sys.argv])
    torch = None

LIBRARY = os.environ.get("FISHERDIAG_C_LIBRARY", "libfisherdiag_c.so")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))


class FloatArray:
    """A float32 array without NumPy."""

    def __init__(self, shape, values):
        self.shape, self.values = shape, array.array("f", values)

    @property
    def address(self):
        return self.values.buffer_info()[0]


# An instrumented library cannot be loaded into a Python that is not.
@unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "SKIPPED: the library is built with a sanitizer")
class PlainTest(support.ToolTest):
    def setUp(self):
        super().setUp()
        import accumulator

        self.module = accumulator
        for name, function in [("_float32", lambda values: values), ("_address", lambda values: values.address)]:
            original = getattr(accumulator, name)
            setattr(accumulator, name, function)
            self.addCleanup(setattr, accumulator, name, original)

    def test_agrees_with_the_tool(self):
        """One linear layer with a Gaussian likelihood: the sensitivity is z - y."""
        inputs, outputs, samples = 6, 3, 40
        weight, bias = support.numbers(inputs * outputs, 1), support.numbers(outputs, 2)
        rows = [support.numbers(inputs, 100 + n) for n in range(samples)]
        targets = [support.numbers(outputs, 200 + n) for n in range(samples)]
        self.write(
            "W.safetensors",
            support.safetensors_bytes([("0.weight", [outputs, inputs], weight), ("0.bias", [outputs], bias)]),
        )
        self.write("X.npy", support.float_npy(rows))
        self.write("Y.npy", support.float_npy(targets))
        self.run_json(
            "compute",
            "--arch",
            "mlp:6-3",
            "--weights",
            "W.safetensors",
            "--data",
            "X.npy",
            "--labels",
            "Y.npy",
            "--likelihood",
            "gaussian",
            "-o",
            "F.safetensors",
        )
        sensitivities = [
            sum(weight[o * inputs + i] * row[i] for i in range(inputs)) + bias[o] - target[o]
            for row, target in zip(rows, targets)
            for o in range(outputs)
        ]
        accumulator = self.module.Accumulator(LIBRARY, threads=2)
        accumulator.linear("0", inputs, outputs)
        accumulator.add_linear(
            "0", FloatArray((samples, inputs), sum(rows, [])), FloatArray((samples, outputs), sensitivities)
        )
        accumulator.save(self.path("G.safetensors"), data="X.npy")
        wanted, told, _ = support.read_safetensors(self.path("F.safetensors"))
        got, metadata, _ = support.read_safetensors(self.path("G.safetensors"))
        self.assertEqual(list(got), list(wanted))
        for name in wanted:
            self.assertEqual(got[name][1], wanted[name][1])
            for x, y in zip(got[name][2], wanted[name][2]):
                # the sensitivities here are rounded once from double, the tool's come from float products
                self.assertLess(abs(x - y), 2e-6 * max(wanted[name][2]))
        for key in ["estimator", "samples", "normalization", "isa", "version", "data"]:
            self.assertEqual(metadata[key], told[key], key)

    def test_errors_are_sentences(self):
        accumulator = self.module.Accumulator(LIBRARY, threads=1)
        accumulator.linear("fc", 2, 1)
        for action, word in [
            (lambda: accumulator.linear("fc", 2, 1), "fc.weight"),
            (lambda: accumulator.linear("none", 0, 1), "none"),
            (
                lambda: accumulator.add_linear("fc", FloatArray((1, 2), [1, float("nan")]), FloatArray((1, 1), [1])),
                "not finite",
            ),
            (lambda: accumulator.save(self.path("F.safetensors")), "no samples"),
            (lambda: accumulator.save(self.path("F.safetensors"), estimator="batched"), "batched"),
        ]:
            with self.assertRaisesRegex(self.module.FisherdiagError, word):
                action()
        with self.assertRaises(self.module.FisherdiagError):
            self.module.Accumulator(LIBRARY, threads=-1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_null_is_an_error(self):
        library = ctypes.CDLL(LIBRARY)
        library.fisherdiag_error.restype = ctypes.c_char_p
        self.assertEqual(library.fisherdiag_accumulator_save(None, None, None, None, None), -1)
        self.assertIn(b"NULL", library.fisherdiag_error())
        library.fisherdiag_accumulator_free(None)


@unittest.skipIf(os.environ.get("FISHERDIAG_SANITIZE"), "SKIPPED: the library is built with a sanitizer")
@unittest.skipUnless(
    torch, "SKIPPED: no PyTorch in %s; set FISHERDIAG_TORCH_PYTHON to an interpreter that has it" % sys.executable
)
class HookTest(support.ToolTest):
    def model(self):
        """A convolution, a linear layer over a sequence, layer norm, a residual: not a chain the engine reads."""
        torch.manual_seed(5)

        class Mixed(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Conv1d(3, 4, 3, padding=1)
                self.mix = torch.nn.Linear(4, 4)
                self.norm = torch.nn.LayerNorm(4)
                self.head = torch.nn.Linear(4, 3, bias=False)

            def forward(self, x):
                h = torch.relu(self.conv(x)).transpose(1, 2)
                h = h + torch.tanh(self.mix(self.norm(h)))
                return self.head(h.mean(1))

        return Mixed().eval()

    def test_hooks_and_gradients_against_a_loop(self):
        import accumulator as module
        from safetensors.torch import load_file

        torch.set_num_threads(1)
        model, loss = self.model(), torch.nn.functional.cross_entropy
        x, y = torch.randn(21, 3, 6), torch.randint(0, 3, (21,))
        accumulator = module.Accumulator(LIBRARY)
        given = ["conv.weight", "conv.bias", "norm.weight", "norm.bias"]
        for name in given:
            accumulator.parameter(name, model.get_parameter(name).shape)
        with module.watch(model, accumulator):
            for first in range(0, 21, 8):
                loss(model(x[first : first + 8]), y[first : first + 8], reduction="sum").backward()
        for name, gradients in module.per_sample_gradients(model, loss, x, y).items():
            if name in given:
                accumulator.add_gradients(name, gradients)
        accumulator.save(self.path("F.safetensors"))
        fisher = load_file(self.path("F.safetensors"))
        self.assertEqual(set(fisher), {name for name, _ in model.named_parameters()})
        wanted = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for n in range(21):
            model.zero_grad()
            loss(model(x[n : n + 1]), y[n : n + 1]).backward()
            for name, parameter in model.named_parameters():
                wanted[name] += parameter.grad**2 / 21
        for name, value in wanted.items():
            # float32 on both sides: gradients with relative errors near 1e-6
            self.assertLess((fisher[name] - value).norm() / value.norm(), 1e-4, name)


if __name__ == "__main__":
    support.main()
