"""The presets as PyTorch modules, with the tool's names for their tensors."""

from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def lenet5():
    return nn.Sequential(OrderedDict([
        ("conv1", nn.Conv2d(1, 6, 5, padding=2)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(6, 16, 5)), ("relu2", nn.ReLU()), ("pool2", nn.MaxPool2d(2)), ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(400, 120)), ("relu3", nn.ReLU()), ("fc2", nn.Linear(120, 84)), ("relu4", nn.ReLU()),
        ("fc3", nn.Linear(84, 10))]))


def cnn_s():
    layers, channels = [], 3
    for index, out in enumerate((32, 64, 128), 1):
        layers += [(f"conv{index}", nn.Conv2d(channels, out, 3, padding=1)), (f"relu{index}", nn.ReLU()),
                   (f"pool{index}", nn.MaxPool2d(2))]
        channels = out
    return nn.Sequential(OrderedDict([*layers, ("flatten", nn.Flatten()), ("fc1", nn.Linear(2048, 256)),
                                      ("relu4", nn.ReLU()), ("fc2", nn.Linear(256, 10))]))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, activated):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu2 = nn.ReLU() if activated else nn.Identity()

    def forward(self, x):
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + self.downsample(x))


def resnet18_reduced():
    """van de Ven (2025): a fifth of ResNet-18's channels or less, no ReLU after the last block."""
    layers = [("conv1", nn.Conv2d(3, 20, 3, padding=1)), ("bn1", nn.BatchNorm2d(20)), ("relu", nn.ReLU())]
    channels = 20
    for stage, out in enumerate((20, 40, 80, 160), 1):
        blocks = [ResidualBlock(channels, out, 1 if stage == 1 else 2, True), ResidualBlock(out, out, 1, stage < 4)]
        layers.append((f"layer{stage}", nn.Sequential(*blocks)))
        channels = out
    return nn.Sequential(OrderedDict([*layers, ("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()),
                                      ("fc", nn.Linear(160, 10))]))


class Position(nn.Module):
    """A learned vector for each place in a sequence."""

    def __init__(self, positions, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(positions, width))

    def forward(self, x):
        return x + self.weight


class Attention(nn.Module):
    """torch.nn.MultiheadAttention with its parts in sight; load and save know its names for them."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in self.in_proj(x).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return self.out_proj((weights @ v).transpose(-2, -3).flatten(-2))


class EncoderLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = Attention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = x + self.self_attn(self.norm1(x))
        return x + self.linear2(nn.functional.gelu(self.linear1(self.norm2(x))))


class MeanOfPositions(nn.Module):
    def forward(self, x):
        return x.mean(-2)


def transformer_tiny():
    width, heads = 128, 4
    encoder = nn.Module()
    encoder.layers = nn.Sequential(*(EncoderLayer(width, heads) for _ in range(4)))
    encoder.norm = nn.LayerNorm(width)
    encoder.forward = lambda x: encoder.norm(encoder.layers(x))
    return nn.Sequential(OrderedDict([("embedding", nn.Embedding(1024, width)), ("position", Position(64, width)),
                                      ("encoder", encoder), ("mean", MeanOfPositions()),
                                      ("head", nn.Linear(width, 10))]))


PRESETS = {"transformer-tiny": transformer_tiny, "lenet5": lenet5, "cnn-s": cnn_s, "resnet18-reduced": resnet18_reduced}


def initialised(model, seed=1):
    """The preset with PyTorch's initial weights; what batch norm knows of its inputs is made up."""
    torch.manual_seed(seed)
    network = PRESETS[model]()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.normal_(0, 0.2)
    return network.eval()


def save(network, path):
    """Writes all tensors the tool reads; returns the names of the parameters in PyTorch's order."""
    save_file({_tool_name(name): tensor for name, tensor in network.state_dict().items() if "num_batches" not in name},
              str(path))
    return [_tool_name(name) for name, _ in network.named_parameters()]


def _tool_name(name):
    return name.replace("in_proj.", "in_proj_")


def load(model, path):
    network = PRESETS[model]()
    tensors = load_file(str(path))
    network.load_state_dict({name: tensors.get(_tool_name(name), old) for name, old in network.state_dict().items()})
    return network.eval()


def margins(network, inputs):
    """Per sample, how near the nearest decision is to going the other way: a ReLU at zero, two maxima in a window.

    inputs: a tensor [N, ...]. In double.
    """
    nearest = torch.full((len(inputs),), torch.inf, dtype=torch.double)

    def see(layer, arguments, _):
        x = arguments[0]
        gaps = x.abs().flatten(1)
        if isinstance(layer, nn.MaxPool2d):
            windows = nn.functional.unfold(x.flatten(0, 1)[:, None], layer.kernel_size, stride=layer.stride)
            first, second = windows.topk(2, dim=1).values.unbind(1)
            # No active unit: whoever wins passes nothing on. Equal maxima come from equal patches: the first one wins.
            gaps = torch.where((first > 0) & (first > second), first - second, torch.inf).reshape(len(x), -1)
        torch.minimum(nearest, gaps.min(1).values, out=nearest)

    hooks = [layer.register_forward_hook(see) for layer in network.modules()
             if isinstance(layer, (nn.ReLU, nn.MaxPool2d))]
    with torch.no_grad():
        network.double()(inputs.double() if inputs.is_floating_point() else inputs)
    for hook in hooks:
        hook.remove()
    network.float()
    return nearest.numpy()
