"""One training step in PyTorch, with and without an EWC penalty that autograd differentiates."""

import torch
from torch.nn import functional

from peers.methods import STEP_BATCH, STEP_LAMBDA
from peers.torch_methods import VERSIONS, sequential  # noqa: F401  (the worker asks every module for its versions)


class Step:
    """SGD on one batch over and over, as fisherdiag-bench's step/ does."""

    penalized = False
    samples = STEP_BATCH  # of every run, whatever the number of steps

    def __init__(self, tensors, anchor=None, fisher=None):
        self.model = sequential(tensors)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self.anchor = [torch.from_numpy(array) for array in anchor or []]
        self.fisher = [torch.from_numpy(array) for array in fisher or []]

    def load(self, inputs, labels):
        return torch.from_numpy(inputs), torch.from_numpy(labels).long()

    def penalty(self):
        terms = zip(self.model.parameters(), self.anchor, self.fisher)
        return STEP_LAMBDA / 2 * sum((f * (theta - anchor) ** 2).sum() for theta, anchor, f in terms)

    def penalty_gradient(self):
        return [g.numpy() for g in torch.autograd.grad(self.penalty(), list(self.model.parameters()))]

    def run(self, x, y, steps):
        for _ in range(steps):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.model(x), y)
            if self.penalized:
                loss = loss + self.penalty()
            loss.backward()
            self.optimizer.step()


class StepWithPenalty(Step):
    penalized = True


METHODS = {"step-none": Step, "step-ewc": StepWithPenalty}
