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
import os
import sys

from torch_layers import Unsupported, architecture_of

ARCHITECTURE_KEY = "fisherdiag.arch"


class BadInput(Exception):
    pass


# ---- files ----------------------------------------------------------------------------------------------------------


def reference_path(path):
    return (path[: -len(".safetensors")] if path.endswith(".safetensors") else path) + ".reference.safetensors"


def parameters_of(model, dtype):
    """The state_dict, contiguous, what layers share once; batch norm's counters are left out."""
    state = model.state_dict()
    shared = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    shared -= {name for name, _ in model.named_parameters()}
    tensors = {}
    for key, value in state.items():
        if key in shared or key.endswith(".num_batches_tracked"):
            continue
        tensors[key] = value.detach().to(dtype or value.dtype).contiguous().clone()
        if not tensors[key].isfinite().all():
            raise BadInput("parameter '%s' has values that are not finite" % key)
    return tensors


def check_all_used(architecture, tensors):
    """Every tensor must belong to a layer of the forward pass."""
    names = set()
    for layer in architecture["layers"]:
        for role in ("weight", "bias", "running_mean", "running_var"):
            names.add(layer[role] if isinstance(layer.get(role), str) else "%s.%s" % (layer.get("name"), role))
    for key in tensors:
        if key not in names:
            raise Unsupported(key, "this entry of the state_dict belongs to no layer of the forward pass")


def takes_tokens(architecture):
    return any(layer["type"] == "embedding" for layer in architecture["layers"])


def references_of(model, architecture, inputs, tensors):
    """Inputs, the outputs of layers with parameters, and logits, computed in float32 from the weights as written."""
    import copy

    import torch

    model = copy.deepcopy(model).float().eval()
    model.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=False)
    outputs = {}

    def keep(name):
        return lambda module, arguments, output: outputs.__setitem__("layers." + name, output.detach().clone())

    modules = dict(model.named_modules())
    # PyTorch's module of this name is attention together with its projections.
    names = [a["name"] for a in architecture["layers"] if "name" in a and a["type"] != "attention"]
    for name in names:
        used_once = name + "'" not in names
        if name in modules and used_once and next(modules[name].parameters(recurse=False), None) is not None:
            modules[name].register_forward_hook(keep(name))
    with torch.no_grad():
        logits = model(inputs.long() if takes_tokens(architecture) else inputs)
    return {"inputs": inputs, "logits": logits, **outputs}


def export(model, inputs, path, dtype=None):
    """Writes `path` and its reference file; returns the architecture.

    inputs  a tensor or array [n, ...] of a few samples as the model takes them
    dtype   of the weights written; None keeps the model's own. Reference outputs are computed from what is written.
    Raises Unsupported, BadInput. The model is left as it is; references are computed in evaluation mode.
    """
    import torch
    from safetensors.torch import save_file

    inputs = torch.as_tensor(inputs).detach().to("cpu", torch.float32).contiguous()
    architecture = architecture_of(model, inputs.shape[1:])
    tensors = parameters_of(model, dtype)
    check_all_used(architecture, tensors)
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
    first = next((m for m in model.modules() if next(m.parameters(recurse=False), None) is not None), None)
    if not shape:
        if type(first).__name__ != "Linear":
            raise BadInput("give --inputs X.npy or --input-shape")
        shape = [first.in_features]
    generator = torch.Generator().manual_seed(0)
    if type(first).__name__ == "Embedding":
        return torch.randint(first.num_embeddings, [arguments.samples] + list(shape), generator=generator)
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
    print(
        "%s: %d layers, %d parameters; reference outputs in %s"
        % (
            arguments.output,
            len(architecture["layers"]),
            sum(parameter.numel() for parameter in model.parameters()),
            reference_path(arguments.output),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
