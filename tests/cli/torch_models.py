"""Models for the hand-over test: what people export, and what cannot be."""

import torch
from torch import nn
from torch.nn import functional


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


class Gated(Named):
    def forward(self, x):
        hidden = torch.relu(self.encoder(x))
        return self.head(hidden * hidden)


class Tied(nn.Module):
    """One layer used twice, and a tensor two layers share."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(6)
        self.first, self.second, self.head = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 4)
        self.second.weight = self.first.weight
        self.act = nn.Tanh()

    def forward(self, x):
        x = self.act(self.first(x.view(x.size(0), -1)))
        return self.head(self.act(self.second(self.act(self.first(x)))) + x)


class LeNet5(nn.Module):
    """The preset lenet5: functions in forward()."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), kernel_size=2)
        x = torch.flatten(x, 1)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x)))))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, relu):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.ends_with_relu = relu

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += shortcut
        return self.relu(out) if self.ends_with_relu else out


class ReducedResNet18(nn.Module):
    """The preset resnet18-reduced, with statistics as training would leave them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU()
        channels = 20
        for stage in range(4):
            blocks = []
            for block in range(2):
                out, last = 20 << stage, (stage, block) == (3, 1)
                blocks.append(Block(channels, out, 2 if stage and not block else 1, not last))
                channels = out
            setattr(self, "layer%d" % (stage + 1), nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(160, 10)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def signal_net():
    torch.manual_seed(8)
    return nn.Sequential(
        nn.Conv1d(3, 8, 3, padding="same"),
        nn.GroupNorm(2, 8),
        nn.GELU(),
        nn.MaxPool1d(2),
        nn.Conv1d(8, 6, 2, stride=2, groups=2, bias=False),
        nn.SiLU(),
        nn.AvgPool1d(2, stride=1),
        nn.Flatten(),
        nn.Linear(24, 4),
    )


class Branching(Named):
    def forward(self, x):
        return self.head(self.encoder(x)) if x.sum() > 0 else self.head(-self.encoder(x))


def unsupported():
    return nn.Sequential(nn.Linear(12, 8), nn.Sequential(nn.ReLU(), nn.PReLU()), nn.Linear(8, 4))


def with_softmax():
    return nn.Sequential(nn.Linear(12, 4), nn.Softmax(dim=1))


def ewc_drift(model, fisher, x, other_x, other_y, strength):
    """How far the outputs for x move while other_x is learned with the EWC penalty, as a norm. `strength` 1: as strong
    as plain gradient descent bears."""
    anchor = {name: value.detach().clone() for name, value in model.named_parameters()}
    before, rate = model(x).detach(), 0.002
    ewc_lambda = strength / (rate * max(float(values.max()) for values in fisher.values()))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(40):
        optimizer.zero_grad()
        outputs = model(other_x)
        loss = nn.functional.cross_entropy(outputs.flatten(0, -2), other_y.flatten())
        penalty = sum((fisher[name] * (p - anchor[name]) ** 2).sum() for name, p in model.named_parameters())
        (loss + 0.5 * ewc_lambda * penalty).backward()
        optimizer.step()
    drift = (model(x) - before).norm().item()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(anchor[name])
    return drift
