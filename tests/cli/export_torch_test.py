"""A PyTorch model handed over, its Fisher computed and loaded back into an EWC loop.

Needs PyTorch (torch_support.py)."""

import os
import subprocess
import sys

import support
from torch_support import HERE, SCRIPTS, TorchTest, numpy, safetensors, torch


class ExportTest(TorchTest):
    def setUp(self):
        super().setUp()
        sys.path[:0] = [SCRIPTS, HERE]
        self.addCleanup(lambda: sys.path.__delitem__(slice(0, 2)))
        import export_torch
        import torch_models

        self.exporter, self.models = export_torch, torch_models
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(30, 12, generator=generator)
        self.y = torch.randint(0, 4, (30,), generator=generator)
        numpy.save(self.path("X.npy"), self.x.numpy())
        numpy.save(self.path("Y.npy"), self.y.numpy())

    def run_script(self, model, *arguments):
        return subprocess.run(
            [
                sys.executable,
                "-B",
                os.path.join(SCRIPTS, "export_torch.py"),
                os.path.join(HERE, "torch_models.py") + ":" + model,
                "-o",
                "M.safetensors",
                *arguments,
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )

    def per_sample_squares(self, model):
        """Mean over samples of the squared gradient, one sample at a time."""
        squares = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for x, y in zip(self.x, self.y):
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(x[None]), y[None]).backward()
            for name, parameter in model.named_parameters():
                squares[name] += parameter.grad**2 / len(self.x)
        return squares

    def check_diagonal(self, model, keys_left_out=()):
        done = self.run_tool(
            "compute", "--weights", "M.safetensors", "--data", "X.npy", "--labels", "Y.npy", "-o", "F.safetensors"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        fisher = safetensors.torch.load_file(self.path("F.safetensors"))
        wanted = self.per_sample_squares(model.eval())
        parameters = dict(model.named_parameters(remove_duplicate=False))
        self.assertEqual(
            {k: v.shape for k, v in fisher.items()},
            {k: v.shape for k, v in parameters.items() if k not in keys_left_out},
        )
        for name, value in wanted.items():
            # float32 on both sides: sums of 30 squares of gradients with relative errors near 1e-6
            self.assertLess((fisher[name] - value).norm() / value.norm(), 1e-4, name)
        return fisher

    def test_command_line(self):
        done = self.run_script("mlp", "--inputs", "X.npy")
        self.assertEqual(done.returncode, 0, done.stderr)
        state = self.models.mlp().state_dict()
        self.assertEqual(set(safetensors.torch.load_file(self.path("M.safetensors"))), set(state))
        report = self.run_json("check", "--weights", "M.safetensors", "--replay")
        self.assertTrue(report["passed"])
        self.assertEqual([layer["name"] for layer in report["layers"]], ["1", "4.0", "5", "logits"])
        self.check_diagonal(self.models.mlp())

    def test_traced_module_and_checkpoint(self):
        model = self.models.Named()
        with torch.no_grad():
            model.head.weight.mul_(0.5)
        torch.save({"state_dict": model.state_dict()}, self.path("trained.pt"))
        done = self.run_script("Named", "--checkpoint", "trained.pt")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.run_json("check", "--weights", "M.safetensors", "--replay")["passed"])
        self.check_diagonal(model)

    def use_samples(self, count, *shape):
        generator = torch.Generator().manual_seed(2)
        self.x = torch.randn(count, *shape, generator=generator)
        self.y = torch.randint(0, 4, (count,), generator=generator)
        numpy.save(self.path("X.npy"), self.x.numpy())
        numpy.save(self.path("Y.npy"), self.y.numpy())

    def check_graph(self, model, layers, keys_left_out=()):
        done = self.run_script(model.__name__, "--inputs", "X.npy", "--samples", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = self.run_json("check", "--weights", "M.safetensors", "--replay")
        self.assertTrue(report["passed"], report)
        self.assertEqual(len(report["layers"]), layers)
        self.check_diagonal(model(), keys_left_out)

    def test_lenet5(self):
        self.use_samples(6, 1, 28, 28)
        self.check_graph(self.models.LeNet5, 6)
        preset = self.run_json(
            "compute", "--arch", "lenet5", "--weights", "M.safetensors", "--data", "X.npy", "--labels", "Y.npy"
        )
        own = self.run_json("compute", "--weights", "M.safetensors", "--data", "X.npy", "--labels", "Y.npy")
        self.assertEqual(preset["sha256"], own["sha256"])
        self.assertEqual(preset["parameters"], 61706)

    def test_reduced_resnet18(self):
        self.use_samples(2, 3, 32, 32)
        self.check_graph(self.models.ReducedResNet18, 42)
        data = ["--weights", "M.safetensors", "--data", "X.npy", "--labels", "Y.npy"]
        preset = self.run_json("compute", "--arch", "resnet18-reduced", *data, "-o", "P.safetensors")
        self.assertEqual(preset["parameters"], 1094770)
        fisher, other = (safetensors.torch.load_file(self.path(name)) for name in ("F.safetensors", "P.safetensors"))
        self.assertEqual(set(fisher), set(other))
        for name, value in fisher.items():
            self.assertLess((other[name] - value).norm(), 1e-6 * value.norm(), name)

    def test_signals(self):
        self.use_samples(12, 3, 20)
        self.check_graph(self.models.signal_net, 5)

    def test_shared_tensors(self):
        self.check_graph(self.models.Tied, 3, ["second.weight"])

    def test_half_precision(self):
        for dtype in ["float16", "bfloat16", "float64"]:
            self.assertEqual(self.run_script("mlp", "--dtype", dtype).returncode, 0)
            self.assertTrue(self.run_json("check", "--weights", "M.safetensors", "--replay")["passed"])

    def test_replay_names_the_first_layer_that_differs(self):
        model = self.models.mlp()
        self.exporter.export(model, self.x[:5], self.path("M.safetensors"))
        state = safetensors.torch.load_file(self.path("M.safetensors"))
        state["4.0.weight"][2, 3] += 0.1
        safetensors.torch.save_file(state, self.path("W.safetensors"))
        arch = self.write("arch.json", support.json.dumps(self.exporter.architecture_of(model)).encode())
        report = self.run_json(
            "check", "--arch", arch, "--weights", "W.safetensors", "--replay=M.reference.safetensors", code=1
        )
        self.assertEqual(report["first_difference"], "4.0")

    def test_unsupported(self):
        for model, words in [
            ("unsupported", ["'1.1'", "PReLU"]),
            ("with_softmax", ["'1'", "likelihood"]),
            ("Gated", ["mul", "not covered"]),
            ("Branching", ["Branching", "traced"]),
        ]:
            done = self.run_script(model)
            self.assertEqual(done.returncode, 4, done.stderr)
            for word in words + ["Accumulator"]:
                self.assertIn(word, done.stderr)
            self.assertFalse(os.path.exists(self.path("M.safetensors")))

    def test_bad_input(self):
        for arguments, word in [
            (["--checkpoint", "gone.pt"], "gone.pt"),
            (["--inputs", "gone.npy"], "gone.npy"),
            (["--input-shape", "5"], "[8, 5]"),
        ]:
            done = self.run_script("mlp", *arguments)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(word, done.stderr)
            self.assertEqual(len(done.stderr.strip().split("\n")), 1)

    def test_ewc_loop(self):
        """A second task is learned; with the penalty the first is forgotten less."""
        for model, shape in [
            (self.models.mlp, (12,)),
            (self.models.LeNet5, (1, 28, 28)),
            (self.models.ReducedResNet18, (3, 32, 32)),
        ]:
            with self.subTest(model.__name__):
                self.use_samples(6, *shape)
                own = model().eval()
                self.exporter.export(own, self.x, self.path("M.safetensors"))
                fisher = self.check_diagonal(own)
                free, held = (
                    self.models.ewc_drift(own, fisher, self.x, -self.x, self.y.flip(0), strength)
                    for strength in (0.0, 0.5)
                )
                self.assertLess(held, 0.9 * free)


if __name__ == "__main__":
    support.main()
