"""Networks whose weights are used at many positions, by hand: what people write who cannot afford vmap's memory.

Gradients with respect to the outputs of all layers come from one backward pass; a layer's per-sample gradients are a
batched product of them with its unfolded inputs, squared and summed before the next layer's. All return sums over
samples.
"""

import torch
from torch import nn
from torch.nn import functional

from peers import networks
from peers.torch_methods import VERSIONS, TorchMethod  # noqa: F401  (the worker reads VERSIONS)


def linear(layer, x, delta):
    if x.dim() == 2:
        return [(delta * delta).t() @ (x * x), (delta * delta).sum(0)]
    return squares(delta.transpose(1, 2) @ x, delta.sum(1))


def conv2d(layer, x, delta):
    patches = functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    delta = delta.flatten(2)
    return squares(torch.bmm(delta, patches.transpose(1, 2)), delta.sum(2))


def batch_norm(layer, x, delta):
    normal = functional.batch_norm(x, layer.running_mean, layer.running_var, None, None, False, 0, layer.eps)
    return squares((delta * normal).flatten(2).sum(2), delta.flatten(2).sum(2))


def layer_norm(layer, x, delta):
    normal = functional.layer_norm(x, layer.normalized_shape, None, None, layer.eps)
    return squares((delta * normal).sum(1), delta.sum(1))


def embedding(layer, x, delta):
    """A token's uses within a sequence are added before they are squared."""
    table = delta.new_zeros(len(x), *layer.weight.shape)
    return squares(table.scatter_add_(1, x[..., None].expand(delta.shape), delta))


def position(layer, x, delta):
    return squares(delta.clone())


def squares(*gradients):
    """[N, ...] each: squared and summed over samples."""
    return [gradient.square_().sum(0) for gradient in gradients]


RULES = {nn.Linear: linear, nn.Conv2d: conv2d, nn.BatchNorm2d: batch_norm, nn.LayerNorm: layer_norm,
         nn.Embedding: embedding, networks.Position: position}


class Unfold(TorchMethod):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.layers = [layer for layer in self.model.modules() if list(layer.parameters(recurse=False))]
        self.seen = {}
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        for layer in self.layers:
            layer.register_forward_hook(self.see)

    def see(self, layer, inputs, output):
        if not output.requires_grad:
            output.requires_grad_()  # the first layer's: nothing before it is differentiated
        self.seen[layer] = (inputs[0].detach(), output)

    def forward(self, x):
        """Logits, and the outputs of the layers that have parameters."""
        logits = self.model(x)
        return logits, [self.seen[layer][1] for layer in self.layers]

    def accumulate(self, sums, deltas):
        place = 0
        for layer, delta in zip(self.layers, deltas):
            for square in RULES[type(layer)](layer, self.seen[layer][0], delta)[:len(list(layer.parameters()))]:
                sums[place].add_(square.view_as(sums[place]))
                place += 1

    def add(self, sums, x, y):
        logits, outputs = self.forward(x)
        self.accumulate(sums, torch.autograd.grad(functional.cross_entropy(logits, y, reduction="sum"), outputs))


class UnfoldExact(Unfold):
    """One backward pass for each class, seeded √p_c (e_c − p)."""

    def add(self, sums, x, y):
        logits, outputs = self.forward(x)
        p = logits.detach().softmax(1)
        for index in range(p.shape[1]):
            seed = -p
            seed[:, index] += 1
            seed *= p[:, index:index + 1].sqrt()
            self.accumulate(sums, torch.autograd.grad(logits, outputs, seed, retain_graph=True))


METHODS = {"torch-unfold": Unfold, "torch-unfold-exact": UnfoldExact}
