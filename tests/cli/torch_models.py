"""Models for the hand-over test: what people export, and what cannot be."""

import torch
from torch import nn


def mlp():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 9),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Sequential(nn.Linear(9, 7), nn.Tanh()),
        nn.Linear(7, 4),
    )


class Named(nn.Module):
    """A chain written as a class, traced by torch.fx."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.encoder = nn.Linear(12, 8)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = torch.flatten(x, 1)
        return self.head(self.drop(torch.relu(self.encoder(x))))


class Residual(Named):
    def forward(self, x):
        hidden = torch.relu(self.encoder(x))
        return self.head(hidden + hidden)


class Branching(Named):
    def forward(self, x):
        return self.head(self.encoder(x)) if x.sum() > 0 else self.head(-self.encoder(x))


def unsupported():
    return nn.Sequential(nn.Linear(12, 8), nn.Sequential(nn.ReLU(), nn.PReLU()), nn.Linear(8, 4))


def with_softmax():
    return nn.Sequential(nn.Linear(12, 4), nn.Softmax(dim=1))
