"""BackPACK's three diagonals. All return sums over samples."""

from importlib.metadata import version

import torch
from backpack import backpack, extend
from backpack.extensions import DiagGGNExact, DiagGGNMC, SumGradSquared

from peers import networks
from peers.torch_methods import TorchMethod

VERSIONS = {"torch": torch.__version__, "backpack-for-pytorch": version("backpack-for-pytorch")}


class Extension(TorchMethod):
    """A backward pass with one of BackPACK's extensions. The loss is a sum, so nothing is divided by the batch."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        # Anything but a chain is turned into one of BackPACK's own modules.
        self.model = extend(self.model, use_converter=not isinstance(self.model, torch.nn.Sequential) or any(
            isinstance(layer, networks.ResidualBlock) for layer in self.model.modules()))
        self.parameters = list(self.model.parameters())
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
