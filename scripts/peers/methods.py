"""What is compared: one entry per model and method, without importing any of the libraries."""

import math
from dataclasses import dataclass

MODELS = ("mlp-784-32-10", "mlp-784-256-256-10", "mlp-784-400-400-10", "mlp-784-1024-1024-10", "mlp-784-4096-4096-10",
          "lenet5", "cnn-s", "resnet18-reduced", "transformer-tiny")
QUICK_MODELS = ("mlp-784-32-10", "mlp-784-256-256-10", "mlp-784-1024-1024-10", "lenet5", "cnn-s")


@dataclass(frozen=True)
class Preset:
    parameters: int
    shape: tuple  # of one sample
    tokens: int = 0  # a sample is numbers of tokens below this; 0: it is an image


PRESETS = {"lenet5": Preset(61_706, (1, 28, 28)), "cnn-s": Preset(620_362, (3, 32, 32)),
           "resnet18-reduced": Preset(1_094_770, (3, 32, 32)), "transformer-tiny": Preset(933_898, (64,), 1024)}

# Float32 sums of the same terms in another order differ by about 1e-6; a wrong definition differs by percents.
FLOAT_TOLERANCE = 1e-4
# bfloat16 keeps 8 bits: each operand is off by up to 2^-9, and ReLUs near zero switch.
BF16_TOLERANCE = 3e-2
# Ours rounds less. Over a whole training set it stays below 5e-3; the 1,024 samples compared here average less.
OURS_BF16_TOLERANCE = 1e-2

# Training steps, as fisherdiag-bench's step/ takes them. Lambda is small: steps are timed, weights must stay finite.
STEP_BATCH = 128
STEP_LAMBDA = 1e-3

# A method that stores every per-sample gradient may use this much for them.
MOST_GRADIENT_BYTES = 1.5 * 2 ** 30


@dataclass(frozen=True)
class Method:
    """One way to the diagonal. `batches`: sizes tried, the fastest is timed. `stores`: holds batch × P gradients.
    `of`: the models it can do, "mlp" (a chain of dense layers), "preset" or "all".
    """

    name: str
    label: str
    module: str
    estimator: str
    batches: tuple
    tolerance: float = FLOAT_TOLERANCE
    stores: bool = False
    of: str = "all"

    def does(self, model):
        return self.of in ("all", "preset" if model in PRESETS else "mlp")

    def candidates(self, parameters):
        """The batch sizes to try for a model of so many parameters; never none."""
        if not self.stores:
            return self.batches
        return tuple(b for b in self.batches if 4 * parameters * b <= MOST_GRADIENT_BYTES) or self.batches[:1]


_STORED = (4, 16, 64, 256, 1024)
_STREAMED = (128, 512, 2048)
_UNFOLDED = (8, 32, 128)

METHODS = (
    Method("torch-loop", "PyTorch, loop over samples", "torch", "empirical", (1,)),
    Method("torch-vmap", "PyTorch, vmap of grad", "torch", "empirical", _STORED, stores=True),
    Method("jax-vmap", "JAX, jit of vmap of grad", "jax", "empirical", _STORED, stores=True, of="mlp"),
    Method("backpack-sgs", "BackPACK SumGradSquared", "backpack", "empirical", _STREAMED),
    Method("torch-squared", "PyTorch by hand, squared operands", "torch", "empirical", _STREAMED, of="mlp"),
    Method("torch-squared-bf16", "PyTorch by hand, bfloat16 autocast", "torch", "empirical", _STREAMED, BF16_TOLERANCE,
           of="mlp"),
    Method("torch-unfold", "PyTorch by hand, unfold and bmm", "unfold", "empirical", _UNFOLDED, of="preset"),
    Method("backpack-exact", "BackPACK DiagGGNExact", "backpack", "exact", _STREAMED),
    Method("torch-exact", "PyTorch by hand, C backward passes", "torch", "exact", _STREAMED, of="mlp"),
    Method("torch-unfold-exact", "PyTorch by hand, unfold and bmm, C backward passes", "unfold", "exact", _UNFOLDED,
           of="preset"),
    Method("backpack-mc", "BackPACK DiagGGNMC, one draw", "backpack", "mc", _STREAMED),
)


def find(name):
    for method in METHODS:
        if method.name == name:
            return method
    raise KeyError(f"no method '{name}'")


def sizes_of(model):
    """'mlp-784-32-10' -> [784, 32, 10]."""
    return [int(size) for size in model.removeprefix("mlp-").split("-")]


def parameters_of(model):
    if model in PRESETS:
        return PRESETS[model].parameters
    sizes = sizes_of(model)
    return sum((inputs + 1) * outputs for inputs, outputs in zip(sizes, sizes[1:]))


def features_of(model):
    """Numbers in a sample."""
    return math.prod(PRESETS[model].shape) if model in PRESETS else sizes_of(model)[0]


def arch_of(model):
    """'mlp-784-32-10' -> 'mlp:784-32-10', as the tool takes it; a preset is called by its name."""
    return model.replace("mlp-", "mlp:", 1)


def tensor_names(model):
    """The keys of the same torch.nn.Sequential, in order: 0.weight, 0.bias, 2.weight, ..."""
    return [f"{2 * index}.{kind}" for index in range(len(sizes_of(model)) - 1) for kind in ("weight", "bias")]
