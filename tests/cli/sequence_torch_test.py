"""The diagonals of transformers beside PyTorch's, on the same weights and tokens.

Needs PyTorch (torch_support.py)."""

import json
import sys

import support
from torch_support import HERE, SCRIPTS, TorchTest, numpy, safetensors, torch


def classifier():
    """The preset transformer-tiny."""
    nn = torch.nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(1024, 128)
            self.position = nn.Embedding(64, 128)
            layer = nn.TransformerEncoderLayer(128, 4, 512, 0.0, "gelu", batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 4, nn.LayerNorm(128), enable_nested_tensor=False)
            self.head = nn.Linear(128, 10)

        def forward(self, tokens):
            x = self.embedding(tokens) + self.position.weight
            return self.head(self.encoder(x).mean(dim=1))

    return Classifier()


def language_model():
    """Predicts the next of 11 tokens with the table of embeddings; token 0 fills sequences up."""
    nn = torch.nn

    class LanguageModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(11, 12)
            self.attn = nn.MultiheadAttention(12, 3, batch_first=True)
            self.norm = nn.LayerNorm(12)

        def forward(self, tokens):
            x = self.embedding(tokens)
            later = torch.ones(6, 6, dtype=torch.bool).triu(1)
            hidden, _ = self.attn(x, x, x, key_padding_mask=tokens == 0, attn_mask=later, need_weights=False)
            return self.norm(hidden + x) @ self.embedding.weight.T

    return LanguageModel()


def tagger(norm_first, activation):
    """An encoder as PyTorch makes it, or with its options turned, and an output at each of 7 positions."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 12)
            self.position = nn.Parameter(torch.randn(7, 12))
            layer = nn.TransformerEncoderLayer(12, 3, 16, 0.1, activation, batch_first=True, norm_first=norm_first)
            norm = nn.RMSNorm(12) if norm_first else None
            self.encoder = nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)
            self.attention = nn.MultiheadAttention(12, 2, batch_first=True, bias=False)
            self.head = nn.Linear(12, 5)

        def forward(self, tokens):
            x = self.encoder(self.embedding(tokens) + self.position)
            return self.head(self.attention(x, x, x, need_weights=False)[0] + x)

    return Tagger()


LANGUAGE_MODEL = json.dumps({"sequence": [6], "layers": [
    {"type": "embedding", "name": "embedding", "tokens": 11, "out": 12},
    {"type": "linear", "name": "attn.in_proj", "out": 36, "weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"},
    {"type": "attention", "heads": 3, "causal": True, "from": ["attn.in_proj", "input"], "padding_idx": 0},
    {"type": "linear", "name": "attn.out_proj", "out": 12},
    {"type": "add", "from": ["attn.out_proj", "embedding"]},
    {"type": "layer_norm", "name": "norm"},
    {"type": "linear", "name": "head", "out": 11, "weight": "embedding.weight", "bias": False}]})


class SequenceTorchTest(TorchTest):
    def setUp(self):
        super().setUp()
        torch.manual_seed(5)

    def save(self, model, tokens, labels):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        safetensors.torch.save_file(model.state_dict(), self.path("W.safetensors"))
        numpy.save(self.path("X.npy"), tokens.numpy())
        numpy.save(self.path("Y.npy"), labels.numpy())
        return model.double().eval()

    def squares(self, model, terms):
        """The mean over samples of the sum over (weight, log-likelihood) of weight * gradient^2."""
        sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for sample in terms:
            for weight, value in sample:
                gradients = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
                for (name, _), gradient in zip(model.named_parameters(), gradients):
                    sums[name] += float(torch.as_tensor(weight).detach()) * gradient**2 / len(terms)
        return sums

    def check(self, wanted, *arguments):
        self.run_json("compute", "--weights", "W.safetensors", "--data", "X.npy", "--labels", "Y.npy", "-o",
                      "F.safetensors", *arguments)
        fisher = safetensors.torch.load_file(self.path("F.safetensors"))
        self.assertEqual(set(fisher), set(wanted))
        worst = max(float((fisher[name].double() - value).norm() / value.norm()) for name, value in wanted.items())
        print("%s: worst tensor differs by %.1e" % (" ".join(arguments), worst), file=sys.stderr)
        self.assertLess(worst, 1e-4)

    def test_transformer_tiny(self):
        tokens, labels = torch.randint(0, 1024, (5, 64)), torch.randint(0, 10, (5,))
        tokens[:, 10:20] = tokens[:, :10]  # tokens that occur twice
        model = self.save(classifier(), tokens, labels)
        logs = [torch.log_softmax(model(x[None]), 1)[0] for x in tokens]
        self.check(self.squares(model, [[(1, log[y])] for log, y in zip(logs, labels)]), "--arch", "transformer-tiny")
        everything = [[(log[c].exp(), log[c]) for c in range(10)] for log in logs]
        self.check(self.squares(model, everything), "--arch", "transformer-tiny", "--estimator", "exact")

    def test_next_tokens(self):
        tokens = torch.randint(1, 11, (8, 6))
        tokens[1, 4:] = tokens[2, 3:] = 0
        labels = torch.roll(tokens, -1, 1)
        labels[:, -1] = 3
        labels[labels == 0] = -100
        self.write("arch.json", LANGUAGE_MODEL.encode())
        model = self.save(language_model(), tokens, labels)
        logs = [torch.log_softmax(model(x[None]), 2)[0] for x in tokens]
        counted = [[(t, int(y)) for t, y in enumerate(row) if y != -100] for row in labels]
        sequences = [[(1, sum(log[t, y] for t, y in row))] for log, row in zip(logs, counted)]
        self.check(self.squares(model, sequences), "--arch", "arch.json")
        apart = [[(1, log[t, y]) for t, y in row] for log, row in zip(logs, counted)]
        self.check(self.squares(model, apart), "--arch", "arch.json", "--likelihood-unit", "token")
        everything = [[(log[t, c].exp(), log[t, c]) for t, _ in row for c in range(11)] for log, row in zip(logs, counted)]
        self.check(self.squares(model, everything), "--arch", "arch.json", "--estimator", "exact")

    def test_export(self):
        sys.path[:0] = [SCRIPTS, HERE]
        self.addCleanup(lambda: sys.path.__delitem__(slice(0, 2)))
        import export_torch
        import torch_models

        tokens, labels = torch.randint(0, 20, (6, 7)), torch.randint(0, 5, (6, 7))
        for options in [(True, "gelu"), (False, "relu")]:
            model = self.save(tagger(*options), tokens, labels).float()
            export_torch.export(model, tokens, self.path("W.safetensors"))
            report = self.run_json("check", "--weights", "W.safetensors", "--replay")
            self.assertTrue(report["passed"], report)
            self.assertIn("encoder.layers.1.linear2", [layer["name"] for layer in report["layers"]])
            model = model.double()
            logs = [torch.log_softmax(model(x[None]), 2)[0] for x in tokens]
            rows = [[(1, sum(log[t, y] for t, y in enumerate(row)))] for log, row in zip(logs, labels)]
            self.check(self.squares(model, rows))
            fisher = safetensors.torch.load_file(self.path("F.safetensors"))
            free, held = (torch_models.ewc_drift(model, fisher, tokens, tokens.flip(1), labels, strength)
                          for strength in (0.0, 0.5))
            self.assertLess(held, 0.9 * free)

    def test_export_refuses_what_is_not_covered(self):
        sys.path.insert(0, SCRIPTS)
        self.addCleanup(lambda: sys.path.remove(SCRIPTS))
        import export_torch

        for layer, word in [
            (torch.nn.TransformerEncoderLayer(8, 2, 8), "batch_first"),
            (torch.nn.TransformerEncoderLayer(8, 2, 8, activation=torch.tanh, batch_first=True), "activation"),
        ]:
            model = torch.nn.Sequential(torch.nn.Embedding(9, 8), layer, torch.nn.Linear(8, 3))
            with self.assertRaisesRegex(export_torch.Unsupported, "'1.*" + word):
                export_torch.export(model, torch.zeros(2, 4), self.path("W.safetensors"))


if __name__ == "__main__":
    support.main()
