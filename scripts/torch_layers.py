"""What a PyTorch model is made of, as docs/architecture-format.md says it. Part of export_torch.py."""

import operator

import torch_sequences

FORMAT = "fisherdiag.arch/1"
WAY_OUT = (
    "feed fisherdiag's Accumulator from hooks instead (docs/accumulator.md), or export the part of the model "
    "that is covered and give the inputs of that part as data"
)


class Unsupported(Exception):
    """A layer the engine does not cover; the message names the module's path and the way out."""

    def __init__(self, path, reason):
        super().__init__("layer '%s': %s; %s" % (path, reason, WAY_OUT))


# ---- modules --------------------------------------------------------------------------------------------------------


def sizes(value):
    """A size as an architecture file has it: a number, or a list of different ones."""
    if isinstance(value, int):
        return value
    value = list(value)
    return value[0] if len(set(value)) == 1 else value


def linear_layer(path, module):
    layer = {"type": "linear", "name": path, "in": module.in_features, "out": module.out_features}
    return layer if module.bias is not None else {**layer, "bias": False}


def conv_layer(kind):
    def make(path, module):
        if module.padding_mode != "zeros":
            raise Unsupported(path, "padding_mode '%s' is not covered" % module.padding_mode)
        padding = module.padding
        if padding == "valid":
            padding = 0
        if padding == "same":
            both = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size)]
            if any(b % 2 for b in both):
                raise Unsupported(path, "padding 'same' differs between the sides of an even kernel")
            padding = [b // 2 for b in both]
        layer = {
            "type": kind,
            "name": path,
            "in": module.in_channels,
            "out": module.out_channels,
            "kernel": sizes(module.kernel_size),
            "stride": sizes(module.stride),
            "padding": sizes(padding),
            "dilation": sizes(module.dilation),
            "groups": module.groups,
        }
        if kind == "conv_transpose2d":
            layer["output_padding"] = sizes(module.output_padding)
        return layer if module.bias is not None else {**layer, "bias": False}

    return make


def batch_norm_layer(path, module):
    if module.running_mean is None:
        raise Unsupported(path, "batch norm without running statistics mixes samples in evaluation mode")
    return {"type": "batch_norm", "name": path, "eps": module.eps, "affine": module.affine}


def group_norm_layer(path, module):
    return {
        "type": "group_norm",
        "name": path,
        "groups": module.num_groups,
        "eps": module.eps,
        "affine": module.affine,
    }


def window(path, kernel, stride, padding, ceil_mode):
    if ceil_mode:
        raise Unsupported(path, "ceil_mode is not covered")
    return {"kernel": sizes(kernel), "stride": sizes(kernel if stride in (None, []) else stride), "padding": sizes(padding)}


def max_pool_layer(kind):
    def make(path, module):
        if module.return_indices:
            raise Unsupported(path, "return_indices is not covered")
        pool = window(path, module.kernel_size, module.stride, module.padding, module.ceil_mode)
        return {"type": kind, "name": path, **pool, "dilation": sizes(module.dilation)}

    return make


def avg_pool_layer(kind):
    def make(path, module):
        if getattr(module, "divisor_override", None) is not None:
            raise Unsupported(path, "divisor_override is not covered")
        pool = window(path, module.kernel_size, module.stride, module.padding, module.ceil_mode)
        return {"type": kind, "name": path, **pool, "count_include_pad": module.count_include_pad}

    return make


def adaptive_pool_layer(kind):
    def make(path, module):
        size = module.output_size
        if size is None or (not isinstance(size, int) and None in list(size)):
            raise Unsupported(path, "an output_size of None is not covered")
        return {"type": kind, "name": path, "out": sizes(size)}

    return make


def flatten_layer(path, module):
    if (module.start_dim, module.end_dim) != (1, -1):
        raise Unsupported(
            path, "Flatten keeps dimensions (start_dim=%d, end_dim=%d)" % (module.start_dim, module.end_dim)
        )
    return {"type": "flatten"}


def gelu_layer(path, module):
    if module.approximate != "none":
        raise Unsupported(path, "GELU's approximation '%s' is not covered" % module.approximate)
    return {"type": "gelu"}


def activation(kind):
    return lambda path, module: {"type": kind}


MODULES = {
    "AdaptiveAvgPool1d": adaptive_pool_layer("adaptive_avg_pool1d"),
    "AdaptiveAvgPool2d": adaptive_pool_layer("adaptive_avg_pool2d"),
    "AlphaDropout": activation("dropout"),
    "AvgPool1d": avg_pool_layer("avg_pool1d"),
    "AvgPool2d": avg_pool_layer("avg_pool2d"),
    "BatchNorm1d": batch_norm_layer,
    "BatchNorm2d": batch_norm_layer,
    "Conv1d": conv_layer("conv1d"),
    "Conv2d": conv_layer("conv2d"),
    "ConvTranspose2d": conv_layer("conv_transpose2d"),
    "Dropout": activation("dropout"),
    "Dropout1d": activation("dropout"),
    "Dropout2d": activation("dropout"),
    "Flatten": flatten_layer,
    "GELU": gelu_layer,
    "GroupNorm": group_norm_layer,
    "Identity": activation("identity"),
    "Linear": linear_layer,
    "MaxPool1d": max_pool_layer("max_pool1d"),
    "MaxPool2d": max_pool_layer("max_pool2d"),
    "NonDynamicallyQuantizableLinear": linear_layer,  # of attention
    "ReLU": activation("relu"),
    "ReLU6": activation("relu6"),
    "SiLU": activation("silu"),
    "Sigmoid": activation("sigmoid"),
    "Tanh": activation("tanh"),
    **torch_sequences.LAYERS,
}
OUTPUT_FUNCTIONS = ("Softmax", "LogSoftmax", "softmax", "log_softmax")


def layer_of(path, module):
    kind = type(module).__name__
    if kind in OUTPUT_FUNCTIONS:
        raise Unsupported(
            path, "%s belongs to the likelihood, which applies it itself: export the model without it" % kind
        )
    covered = ", ".join(sorted([*MODULES, *torch_sequences.COMPOSITES]))
    if kind not in MODULES or not type(module).__module__.startswith("torch.nn"):
        raise Unsupported(path, "%s is not covered (covered: %s)" % (kind, covered))
    return MODULES[kind](path, module)


# ---- functions ------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "dropout": "dropout",
    "flatten": "flatten",
    "gelu": "gelu",
    "max_pool2d": "max_pool2d",
    "avg_pool2d": "avg_pool2d",
    "adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "mean": "adaptive_avg_pool2d",
    "add": "add",
    "iadd": "add",
    "add_": "add",
}


def arguments_of(node, names, defaults):
    """The call's arguments after the tensor, by name."""
    values = dict(zip(names, defaults))
    values.update(zip(names, node.args[1:]))
    for key, value in node.kwargs.items():
        if key not in values and key not in ("input", "training", "inplace", "p"):
            raise Unsupported(node.name, "its argument '%s' is not covered" % key)
        values[key] = value
    return values


def pool_function(node, kind):
    if kind == "adaptive_avg_pool2d":
        return {"type": kind, "out": sizes(arguments_of(node, ["output_size"], [1])["output_size"])}
    extra = ["dilation", "ceil_mode", "return_indices"] if kind == "max_pool2d" else ["ceil_mode", "count_include_pad"]
    given = arguments_of(
        node, ["kernel_size", "stride", "padding", *extra], [None, None, 0, *([1, False, False] if kind == "max_pool2d" else [False, True])]
    )
    if given.get("return_indices"):
        raise Unsupported(node.name, "return_indices is not covered")
    layer = {"type": kind, **window(node.name, given["kernel_size"], given["stride"], given["padding"], given["ceil_mode"])}
    if kind == "max_pool2d":
        layer["dilation"] = sizes(given["dilation"])
    else:
        layer["count_include_pad"] = given["count_include_pad"]
    return layer


def mean_function(node):
    """A mean over all positions of an image or of a sequence."""
    given = arguments_of(node, ["dim", "keepdim"], [None, False])
    dims = given["dim"] if isinstance(given["dim"], (list, tuple)) else [given["dim"]]
    if dims == [1] and not given["keepdim"]:
        return [{"type": "sequence_mean"}]
    if sorted(d % 4 for d in dims if isinstance(d, int)) != [2, 3]:
        raise Unsupported(node.name, "mean must be over the height and width of images, or the positions of a sequence")
    pool = {"type": "adaptive_avg_pool2d", "out": 1}
    return [pool] if given["keepdim"] else [pool, {"type": "flatten"}]


def function_layers(node):
    """A call of a function or method in a traced forward(), as one or two layers."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if name in OUTPUT_FUNCTIONS:
        raise Unsupported(node.name, "%s belongs to the likelihood, which applies it itself" % name)
    if name in ("view", "reshape") and len(node.args) == 3 and node.args[2] == -1:
        return [{"type": "flatten"}]
    if name == "flatten" and list(node.args[1:]) + list(node.kwargs.values()) not in ([1], [1, -1]):
        raise Unsupported(node.name, "flatten must keep the first dimension alone (start_dim=1)")
    if name not in FUNCTIONS:
        raise Unsupported(
            node.name, "the function %s is not covered (covered: %s)" % (name, ", ".join(sorted(FUNCTIONS)))
        )
    kind = FUNCTIONS[name]
    if name == "mean":
        return mean_function(node)
    if kind.endswith("pool2d"):
        return [pool_function(node, kind)]
    if kind == "add" and (len(node.args) != 2 or node.kwargs or not all(hasattr(a, "op") for a in node.args)):
        raise Unsupported(node.name, "only the sum of two layers is covered")
    if name == "gelu" and arguments_of(node, ["approximate"], ["none"])["approximate"] != "none":
        raise Unsupported(node.name, "GELU's approximation is not covered")
    return [{"type": kind}]


# ---- models ---------------------------------------------------------------------------------------------------------


class Walk:
    """Layers in the order they run, each with the names of those it takes."""

    def __init__(self, model):
        self.layers = []
        self.names = {"input"}
        self.owners = {}  # of parameters: the first name
        for name, parameter in model.named_parameters():
            self.owners.setdefault(id(parameter), name)

    def unique(self, name):
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def add(self, layer, name, sources):
        name = self.unique(name)
        self.layers.append({**layer, "name": name, "from": list(sources)})
        return name

    def add_module(self, path, module, sources):
        composite = torch_sequences.COMPOSITES.get(type(module).__name__)
        if composite and type(module).__module__.startswith("torch.nn"):
            if path in self.names or any(name.startswith(path + ".") for name in self.names):
                raise Unsupported(path, "attention that is used twice is not covered")
            return composite(self, path, module, sources)
        layer = layer_of(path, module)
        used = path in self.names
        if used and layer["type"] == "batch_norm":
            raise Unsupported(path, "batch norm is used twice")
        for role, parameter in module.named_parameters(recurse=False):
            owner = self.owners[id(parameter)]
            if used or owner != path + "." + role:
                layer[role] = owner
        return self.add(layer, path, sources)


def sequential_modules(model, prefix=""):
    """Paths and modules of nested nn.Sequentials, in order; None if others are among them."""
    found = []
    for name, module in model.named_children():
        path = prefix + name
        if type(module).__name__ == "Sequential":
            inner = sequential_modules(module, path + ".")
            if inner is None:
                return None
            found += inner
        elif not type(module).__module__.startswith("torch.nn"):
            return None
        else:
            found.append((path, module))
    return found


def traced_layers(model, walk):
    """The layers of a forward() that torch.fx can trace."""
    import torch.fx

    try:
        graph = torch.fx.symbolic_trace(model).graph
    except Exception as error:  # whatever the model's own code raises on a symbolic input
        raise Unsupported(
            type(model).__name__, "its forward() cannot be traced by torch.fx (%s)" % str(error).split("\n")[0]
        )
    value = {}  # of each node: the name of the layer that gives it
    for node in graph.nodes:
        if node.op == "placeholder":
            if value:
                raise Unsupported(node.name, "the model has more than one input")
            value[node] = "input"
        elif node.op == "output":
            if node.args[0] not in value or value[node.args[0]] != walk.layers[-1]["name"]:
                raise Unsupported(node.name, "the model's output is not its last layer alone")
        elif node.op == "get_attr" and is_position_table(node):
            continue
        elif node.op == "get_attr":
            raise Unsupported(node.name, "a parameter or buffer used outside of a layer is not covered")
        elif is_first_of_tuple(node, value):
            value[node] = value[node.args[0]]
        elif is_size(node):
            continue
        elif is_sum(node) and any(is_position_table(a) for a in node.all_input_nodes):
            table = next(a for a in node.all_input_nodes if is_position_table(a))
            layer, name = torch_sequences.position_layer(model, table.target)
            value[node] = walk.add(layer, name, [value[a] for a in node.args if a in value])
        else:
            sources = [value[a] for a in node.args if a in value] if is_sum(node) else first_source(node, value)
            if node.op == "call_module":
                value[node] = walk.add_module(node.target, model.get_submodule(node.target), sources)
                continue
            for layer in function_layers(node):
                value[node] = walk.add(layer, node.name, sources)
                sources = [value[node]]


def is_size(node):
    """x.size(0), x.shape[0]: only ever the arguments of a view."""
    return (node.op == "call_method" and node.target == "size") or (
        node.op == "call_function" and node.target in (getattr, operator.getitem)
    )


def is_first_of_tuple(node, value):
    """attention(x, x, x)[0]."""
    return node.op == "call_function" and node.target is operator.getitem and node.args[0] in value and node.args[1] == 0


def is_position_table(node):
    """A parameter that is only ever added to something."""
    return node.op == "get_attr" and all(is_sum(user) for user in node.users)


def is_sum(node):
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op != "call_module" and FUNCTIONS.get(name) == "add"


def first_source(node, value):
    inputs = [a for a in node.all_input_nodes if not is_size(a)]
    if len(inputs) != 1 or inputs[0] not in value:
        raise Unsupported(
            node.target if node.op == "call_module" else node.name, "it does not take the output of one layer"
        )
    return [value[inputs[0]]]


def as_chain(layers):
    """The layers as the short form for chains of linear layers has them; None if they are more than that."""
    before, after_linear = "input", False
    chain = []
    for layer in layers:
        kind = layer["type"]
        if layer["from"] != [before]:
            return None
        if kind == "linear":
            if any(role in layer for role in ("weight", "bias")):
                return None
            after_linear = True
            chain.append({key: layer[key] for key in ("type", "name", "in", "out")})
        elif kind in ("relu", "tanh", "sigmoid"):
            if not after_linear:
                return None
            after_linear = False
            chain.append({"type": kind})
        elif kind in ("flatten", "dropout", "identity"):
            chain.append({"type": kind})
        else:
            return None
        before = layer["name"]
    return chain


def architecture_of(model, sample_shape=None):
    """The architecture as docs/architecture-format.md describes it. Raises Unsupported.

    sample_shape  of one sample; needed for all but chains of linear layers
    """
    walk = Walk(model)
    modules = sequential_modules(model) if type(model).__name__ == "Sequential" else None
    if modules is None:
        traced_layers(model, walk)
    else:
        before = "input"
        for path, module in modules:
            before = walk.add_module(path, module, [before])
    layers = walk.layers
    if layers and layers[-1]["type"] in ("relu", "relu6", "tanh", "sigmoid", "gelu", "silu"):
        raise Unsupported(
            layers[-1]["name"], "the model ends with %s; export it up to its logits" % layers[-1]["type"]
        )
    if next(model.parameters(), None) is None:
        raise Unsupported(type(model).__name__, "no layer has parameters")
    chain = as_chain(layers)
    if chain:
        return {"format": FORMAT, "layers": chain}
    if sample_shape is None:
        raise Unsupported(type(model).__name__, "a graph of layers needs the shape of a sample")
    before = "input"
    for layer in layers:
        if layer["from"] == [before]:
            del layer["from"]
        before = layer["name"]
    sequence = layers[0]["type"] == "embedding" or (len(sample_shape) == 2 and layers[0]["type"] == "linear")
    return {"format": FORMAT, "sequence" if sequence else "input": list(sample_shape), "layers": layers}
