"""The diagonal in PyTorch, several ways, each as fast as its idea allows. All return sums over samples."""

import numpy as np
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from peers import methods, networks

VERSIONS = {"torch": torch.__version__}


def sequential(tensors):
    """torch.nn.Sequential of Linear and ReLU with these arrays as its state_dict."""
    weights = tensors[0::2]
    layers = []
    for index, weight in enumerate(weights):
        layers += ([torch.nn.ReLU()] if index else []) + [torch.nn.Linear(weight.shape[1], weight.shape[0])]
    model = torch.nn.Sequential(*layers)
    names = list(model.state_dict())
    model.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in zip(names, tensors)})
    return model.eval()


class TorchMethod:
    """A pass over (x, y) in batches. `tensors` are those of a chain of dense layers, unless a preset is named: then it
    is loaded from the file of weights.
    """

    def __init__(self, tensors, preset=None, weights=None):
        self.model = networks.load(preset, weights) if preset else sequential(tensors)
        self.shape = methods.PRESETS[preset].shape if preset else (-1,)
        self.tokens = methods.PRESETS[preset].tokens if preset else 0
        self.parameters = list(self.model.parameters())

    def load(self, inputs, labels):
        x = torch.from_numpy(inputs).reshape(len(inputs), *self.shape)
        return (x.long() if self.tokens else x), torch.from_numpy(labels).long()

    def seed(self, seed):
        torch.manual_seed(seed)

    def run(self, x, y, batch):
        """Sum over samples of the squared per-sample gradients, one tensor per parameter."""
        sums = [torch.zeros_like(parameter) for parameter in self.parameters]
        for begin in range(0, len(x), batch):
            self.add(sums, x[begin:begin + batch], y[begin:begin + batch])
        return sums

    def add(self, sums, x, y):
        raise NotImplementedError

    @staticmethod
    def arrays(sums):
        return [tensor.detach().numpy() for tensor in sums]


class Loop(TorchMethod):
    """What most public EWC code does: one sample, one backward pass, square, add."""

    def add(self, sums, x, y):
        loss = functional.cross_entropy(self.model(x), y)
        for total, gradient in zip(sums, torch.autograd.grad(loss, self.parameters)):
            total.addcmul_(gradient, gradient)


class VmapOfGrad(TorchMethod):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.state = {name: value.detach() for name, value in self.model.named_parameters()}

        def loss(state, sample, label):
            return functional.cross_entropy(functional_call(self.model, state, (sample[None],)), label[None])

        self.gradients = vmap(grad(loss), in_dims=(None, 0, 0))

    def add(self, sums, x, y):
        for total, gradient in zip(sums, self.gradients(self.state, x, y).values()):
            total.add_(gradient.square_().sum(0))


class SquaredOperands(TorchMethod):
    """For a dense layer the squared gradients of a batch sum to (G∘G)ᵀ(A∘A): one matrix product, nothing stored."""

    def __init__(self, tensors):
        super().__init__(tensors)
        detached = [parameter.detach() for parameter in self.parameters]
        self.layers = list(zip(detached[0::2], detached[1::2]))

    @torch.inference_mode()
    def run(self, x, y, batch):
        return super().run(x, y, batch)

    def activations(self, x):
        """Inputs of every layer, then the logits."""
        kept = [x]
        for weight, bias in self.layers[:-1]:
            kept.append(torch.addmm(bias, kept[-1], weight.t()).relu_())
        weight, bias = self.layers[-1]
        return kept, torch.addmm(bias, kept[-1], weight.t())

    def backward(self, kept, delta, visit):
        """Calls visit(layer, gradient with respect to its output), last layer first."""
        for index in reversed(range(len(self.layers))):
            visit(index, delta)
            if index:
                delta = (delta @ self.layers[index][0]).mul_(kept[index] > 0)

    def add(self, sums, x, y):
        kept, logits = self.activations(x)
        delta = logits.softmax(1)
        delta[torch.arange(len(y)), y] -= 1
        self.backward(kept, delta, lambda index, d: self.accumulate(sums, index, d * d, kept[index]))

    @staticmethod
    def accumulate(sums, index, squares, activations):
        sums[2 * index].addmm_(squares.t(), activations * activations)
        sums[2 * index + 1].add_(squares.sum(0))


class ExactByClasses(SquaredOperands):
    """One backward pass for each class, seeded √p_c (e_c − p); squares are summed before the one product per layer."""

    def add(self, sums, x, y):
        kept, logits = self.activations(x)
        p = logits.softmax(1)
        squares = [torch.zeros(len(x), len(bias)) for _, bias in self.layers]
        for index in range(p.shape[1]):
            seed = -p
            seed[:, index] += 1
            seed *= p[:, index:index + 1].sqrt()
            self.backward(kept, seed, lambda layer, d: squares[layer].addcmul_(d, d))
        for layer, square in enumerate(squares):
            self.accumulate(sums, layer, square, kept[layer])


class SquaredOperandsBf16(SquaredOperands):
    """The same under autocast: every matrix product in bfloat16, sums over batches in float32."""

    @torch.inference_mode()
    def run(self, x, y, batch):
        full, self.layers = self.layers, [(w.bfloat16(), b.bfloat16()) for w, b in self.layers]
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().run(x.bfloat16(), y, batch)
        finally:
            self.layers = full

    def add(self, sums, x, y):
        kept, logits = self.activations(x)
        delta = logits.float().softmax(1)
        delta[torch.arange(len(y)), y] -= 1
        self.backward(kept, delta.bfloat16(), lambda index, d: self.accumulate(sums, index, d * d, kept[index]))

    @staticmethod
    def accumulate(sums, index, squares, activations):
        sums[2 * index].add_(squares.t() @ (activations * activations))
        sums[2 * index + 1].add_(squares.float().sum(0))


METHODS = {"torch-loop": Loop, "torch-vmap": VmapOfGrad, "torch-squared": SquaredOperands,
           "torch-exact": ExactByClasses, "torch-squared-bf16": SquaredOperandsBf16}
