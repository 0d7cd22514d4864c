#!/usr/bin/env python3
"""Hands a PyTorch model over to fisherdiag: weights, architecture, and a few reference outputs to check them by.

  scripts/export_torch.py my_model.py:build_model --checkpoint trained.pt --inputs X.npy -o model.safetensors
  fisherdiag check   --weights model.safetensors --replay
  fisherdiag compute --weights model.safetensors --data X.npy --labels Y.npy -o F.safetensors

or from Python:  from export_torch import export;  export(model, inputs, "model.safetensors")

MODEL is FILE.py:NAME or MODULE:NAME, where NAME is a torch.nn.Module or a function without arguments that returns
one. The output has the state_dict's own keys and the architecture as JSON in its metadata
(docs/architecture-format.md); beside it, in model.reference.safetensors, stand reference inputs, the outputs of
every layer with parameters, and the logits. Exit codes: 0 done, 2 usage, 3 bad input, 4 a layer that is not covered.
Needs PyTorch, NumPy and safetensors.
"""

import argparse
import importlib
import importlib.util
import json
import math
import os
import sys

ARCHITECTURE_KEY = "fisherdiag.arch"
FORMAT = "fisherdiag.arch/1"
WAY_OUT = (
    "feed fisherdiag's Accumulator from hooks instead (docs/accumulator.md), or export the part of the model "
    "that is covered and give the inputs of that part as data"
)


class Unsupported(Exception):
    """A layer the engine does not cover; the message names the module's path and the way out."""

    def __init__(self, path, reason):
        super().__init__("layer '%s': %s; %s" % (path, reason, WAY_OUT))


class BadInput(Exception):
    pass


# ---- from modules to layers -----------------------------------------------------------------------------------------


def linear_layer(path, module):
    if module.bias is None:
        raise Unsupported(path, "Linear without bias is not covered")
    return {"type": "linear", "name": path, "in": module.in_features, "out": module.out_features}


def flatten_layer(path, module):
    if (module.start_dim, module.end_dim) != (1, -1):
        raise Unsupported(
            path, "Flatten keeps dimensions (start_dim=%d, end_dim=%d)" % (module.start_dim, module.end_dim)
        )
    return {"type": "flatten"}


def activation(kind):
    return lambda path, module: {"type": kind}


MODULES = {
    "Linear": linear_layer,
    "Flatten": flatten_layer,
    "ReLU": activation("relu"),
    "Tanh": activation("tanh"),
    "Sigmoid": activation("sigmoid"),
    "Identity": activation("identity"),
    "Dropout": activation("dropout"),
    "Dropout1d": activation("dropout"),
    "Dropout2d": activation("dropout"),
    "AlphaDropout": activation("dropout"),
}
OUTPUT_FUNCTIONS = ("Softmax", "LogSoftmax", "softmax", "log_softmax")
FUNCTIONS = {
    "relu": "relu",
    "relu_": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "dropout": "dropout",
    "flatten": "flatten",
}


def layer_of(path, module):
    kind = type(module).__name__
    if kind in OUTPUT_FUNCTIONS:
        raise Unsupported(
            path, "%s belongs to the likelihood, which applies it itself: export the model without it" % kind
        )
    if kind not in MODULES or not type(module).__module__.startswith("torch.nn"):
        raise Unsupported(path, "%s is not covered (covered: %s)" % (kind, ", ".join(sorted(MODULES))))
    return MODULES[kind](path, module)


def sequential_layers(model, prefix=""):
    """The layers of nested nn.Sequentials, in order."""
    layers = []
    for name, module in model.named_children():
        path = prefix + name
        if type(module).__name__ == "Sequential":
            layers += sequential_layers(module, path + ".")
        else:
            layers.append(layer_of(path, module))
    return layers


def function_layer(node):
    """A call of a function or method in a traced forward()."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if name in OUTPUT_FUNCTIONS:
        raise Unsupported(node.name, "%s belongs to the likelihood, which applies it itself" % name)
    if name in ("view", "reshape") and len(node.args) == 3 and node.args[2] == -1:
        return {"type": "flatten"}
    if name == "flatten" and list(node.args[1:]) + list(node.kwargs.values()) not in ([1], [1, -1]):
        raise Unsupported(node.name, "flatten must keep the first dimension alone (start_dim=1)")
    if name not in FUNCTIONS:
        raise Unsupported(
            node.name, "the function %s is not covered (covered: %s)" % (name, ", ".join(sorted(FUNCTIONS)))
        )
    return {"type": FUNCTIONS[name]}


def traced_layers(model):
    """The layers of a forward() that torch.fx can trace, which must be one chain."""
    import torch.fx

    try:
        graph = torch.fx.symbolic_trace(model).graph
    except Exception as error:  # whatever the model's own code raises on a symbolic input
        raise Unsupported(
            type(model).__name__, "its forward() cannot be traced by torch.fx (%s)" % str(error).split("\n")[0]
        )
    layers, before, used = [], None, set()
    for node in graph.nodes:
        if node.op == "placeholder":
            if before is not None:
                raise Unsupported(node.name, "the model has more than one input")
        elif node.op == "output":
            if node.args[0] is not before:
                raise Unsupported(node.name, "the model's output is not its last layer alone")
            break
        elif node.op in ("call_module", "call_function", "call_method"):
            sources = [
                argument
                for argument in node.all_input_nodes
                if argument.op != "call_method" or argument is before or argument.target != "size"
            ]
            if node.op == "call_method" and node.target == "size":
                continue
            if sources != [before]:
                raise Unsupported(
                    node.target if node.op == "call_module" else node.name,
                    "its input is not the output of the layer before it alone: the model is no chain",
                )
            if node.op == "call_module":
                if node.target in used:
                    raise Unsupported(node.target, "the module is used twice")
                used.add(node.target)
                layers.append(layer_of(node.target, model.get_submodule(node.target)))
            else:
                layers.append(function_layer(node))
        else:
            raise Unsupported(node.name, "a parameter or buffer used outside of a layer is not covered")
        before = node
    return layers


def architecture_of(model):
    """The architecture as docs/architecture-format.md describes it. Raises Unsupported."""
    layers = sequential_layers(model) if type(model).__name__ == "Sequential" else traced_layers(model)
    after_linear, last = False, None
    for index, layer in enumerate(layers):
        if layer["type"] == "linear":
            after_linear, last = True, None
        elif layer["type"] in ("relu", "tanh", "sigmoid"):
            if not after_linear:
                raise Unsupported("layers[%d]" % index, "%s must follow a linear layer" % layer["type"])
            after_linear, last = False, layer["type"]
    if last:
        raise Unsupported("layers[%d]" % (len(layers) - 1), "the model ends with %s; export it up to its logits" % last)
    if not any(layer["type"] == "linear" for layer in layers):
        raise Unsupported(type(model).__name__, "no layer has parameters")
    return {"format": FORMAT, "layers": layers}


# ---- files ----------------------------------------------------------------------------------------------------------


def reference_path(path):
    return (path[: -len(".safetensors")] if path.endswith(".safetensors") else path) + ".reference.safetensors"


def parameters_of(model, architecture, dtype):
    """The tensors the architecture names, contiguous; other entries of the state_dict must not exist."""
    state = model.state_dict()
    wanted = [
        layer["name"] + suffix
        for layer in architecture["layers"]
        if layer["type"] == "linear"
        for suffix in (".weight", ".bias")
    ]
    for key in state:
        if key not in wanted:
            raise Unsupported(key, "this entry of the state_dict belongs to no layer of the forward pass")
    tensors = {key: state[key].detach().to(dtype or state[key].dtype).contiguous().clone() for key in wanted}
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise BadInput("parameter '%s' has values that are not finite" % key)
    return tensors


def references_of(model, architecture, inputs, tensors):
    """Inputs, the outputs of layers with parameters, and logits, computed in float32 from the weights as written."""
    import copy

    import torch

    model = copy.deepcopy(model).float().eval()
    model.load_state_dict({key: value.float() for key, value in tensors.items()})
    outputs = {}

    def keep(name):
        return lambda module, arguments, output: outputs.__setitem__("layers." + name, output.detach().clone())

    for layer in architecture["layers"]:
        if layer["type"] == "linear":
            model.get_submodule(layer["name"]).register_forward_hook(keep(layer["name"]))
    with torch.no_grad():
        logits = model(inputs)
    return {"inputs": inputs, "logits": logits, **outputs}


def export(model, inputs, path, dtype=None):
    """Writes `path` and its reference file; returns the architecture.

    inputs  a tensor or array [n, ...] of a few samples as the model takes them
    dtype   of the weights written; None keeps the model's own. Reference outputs are computed from what is written.
    Raises Unsupported, BadInput. The model is left as it is; references are computed in evaluation mode.
    """
    import torch
    from safetensors.torch import save_file

    architecture = architecture_of(model)
    tensors = parameters_of(model, architecture, dtype)
    inputs = torch.as_tensor(inputs).detach().to("cpu", torch.float32).contiguous()
    try:
        references = references_of(model.to("cpu"), architecture, inputs, tensors)
    except RuntimeError as error:
        raise BadInput(
            "the model cannot run on inputs of shape %s: %s" % (list(inputs.shape), str(error).split("\n")[0])
        )
    save_file(tensors, path, metadata={"format": "pt", ARCHITECTURE_KEY: json.dumps(architecture)})
    save_file(
        {key: value.contiguous() for key, value in references.items()},
        reference_path(path),
        metadata={"fisherdiag.reference": "1", "torch": torch.__version__},
    )
    return architecture


# ---- the command ----------------------------------------------------------------------------------------------------


def load_model(words):
    import torch

    place, _, name = words.rpartition(":")
    if not place or not name:
        raise BadInput("'%s' is not FILE.py:NAME or MODULE:NAME" % words)
    if place.endswith(".py"):
        if not os.path.isfile(place):
            raise BadInput("%s: no such file" % place)
        specification = importlib.util.spec_from_file_location("exported_model", place)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(place)
    if not hasattr(module, name):
        raise BadInput("%s has no '%s'" % (place, name))
    model = getattr(module, name)
    if not isinstance(model, torch.nn.Module) or isinstance(model, type):
        model = model()
    if not isinstance(model, torch.nn.Module):
        raise BadInput("%s is a %s, not a torch.nn.Module" % (words, type(model).__name__))
    return model


def load_checkpoint(model, path):
    import torch

    if not os.path.isfile(path):
        raise BadInput("%s: no such file" % path)
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise BadInput("%s: %s" % (path, " ".join(str(error).split())))


def reference_inputs(arguments, model):
    """`--inputs`, or draws from a normal distribution of the shape asked for."""
    import torch

    if arguments.inputs:
        import numpy

        try:
            values = numpy.load(arguments.inputs, mmap_mode="r", allow_pickle=False)[: arguments.samples]
        except (OSError, ValueError) as error:
            raise BadInput("%s: %s" % (arguments.inputs, error))
        return torch.from_numpy(numpy.ascontiguousarray(values, dtype="float32"))
    shape = arguments.input_shape
    if not shape:
        first = next((m for m in model.modules() if type(m).__name__ == "Linear"), None)
        if first is None:
            raise BadInput("give --inputs X.npy or --input-shape")
        shape = [first.in_features]
    generator = torch.Generator().manual_seed(0)
    return torch.randn([arguments.samples] + list(shape), generator=generator)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="FILE.py:NAME or MODULE:NAME")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the safetensors file to write")
    parser.add_argument("--checkpoint", metavar="FILE", help="a state_dict to load first (.pt or .safetensors)")
    parser.add_argument("--inputs", metavar="X.npy", help="samples for the reference outputs; default: random ones")
    parser.add_argument("--input-shape", type=int, nargs="+", metavar="N", help="shape of one random sample")
    parser.add_argument("--samples", type=int, default=8, metavar="N", help="reference samples (default: 8)")
    parser.add_argument(
        "--dtype",
        choices=["float16", "bfloat16", "float32", "float64"],
        help="of the weights written (default: the model's own)",
    )
    return parser.parse_args(arguments)


def main(words=None):
    arguments = parse_arguments(words)
    try:
        import torch
        import safetensors.torch  # noqa: F401
    except ImportError as error:
        print("export_torch.py: %s; it needs PyTorch, NumPy and safetensors" % error, file=sys.stderr)
        return 3
    try:
        model = load_model(arguments.model)
        if arguments.checkpoint:
            load_checkpoint(model, arguments.checkpoint)
        dtype = getattr(torch, arguments.dtype) if arguments.dtype else None
        architecture = export(model, reference_inputs(arguments, model), arguments.output, dtype)
    except Unsupported as error:
        print("export_torch.py: %s" % error, file=sys.stderr)
        return 4
    except (BadInput, OSError, ImportError) as error:
        print("export_torch.py: %s" % error, file=sys.stderr)
        return 3
    parameters = sum(
        math.prod((layer["in"] + 1, layer["out"])) for layer in architecture["layers"] if layer["type"] == "linear"
    )
    print(
        "%s: %d layers, %d parameters; reference outputs in %s"
        % (arguments.output, len(architecture["layers"]), parameters, reference_path(arguments.output))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
