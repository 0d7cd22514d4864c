"""BackPACK's three diagonals. All return sums over samples."""

from importlib.metadata import version

import torch
from backpack import backpack, extend
from backpack.extensions import DiagGGNExact, DiagGGNMC, SumGradSquared

from peers.torch_methods import TorchMethod

VERSIONS = {"torch": torch.__version__, "backpack-for-pytorch": version("backpack-for-pytorch")}


class Extension(TorchMethod):
    """A backward pass with one of BackPACK's extensions. The loss is a sum, so nothing is divided by the batch."""

    def __init__(self, tensors):
        super().__init__(tensors)
        extend(self.model)
        self.loss = extend(torch.nn.CrossEntropyLoss(reduction="sum"))

    def extension(self):
        raise NotImplementedError

    def add(self, sums, x, y):
        extension = self.extension()
        with backpack(extension):
            self.loss(self.model(x), y).backward()
        for total, parameter in zip(sums, self.parameters):
            total.add_(getattr(parameter, extension.savefield))
            delattr(parameter, extension.savefield)
            parameter.grad = None


class SumOfSquares(Extension):
    def extension(self):
        return SumGradSquared()


class Exact(Extension):
    def extension(self):
        return DiagGGNExact()


class MonteCarlo(Extension):
    def extension(self):
        return DiagGGNMC(mc_samples=1)


METHODS = {"backpack-sgs": SumOfSquares, "backpack-exact": Exact, "backpack-mc": MonteCarlo}
