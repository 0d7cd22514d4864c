"""Layers of sequence models as docs/architecture-format.md says them. Part of export_torch.py."""


def refuse_unless(condition, path, reason):
    from torch_layers import Unsupported

    if not condition:
        raise Unsupported(path, reason)


# ---- single layers --------------------------------------------------------------------------------------------------


def embedding_layer(path, module):
    refuse_unless(module.max_norm is None, path, "max_norm is not covered")
    refuse_unless(not module.scale_grad_by_freq, path, "scale_grad_by_freq is not covered")
    layer = {"type": "embedding", "name": path, "tokens": module.num_embeddings, "out": module.embedding_dim}
    return layer if module.padding_idx is None else {**layer, "padding_idx": module.padding_idx}


def norm_layer(kind):
    def make(path, module):
        refuse_unless(len(module.normalized_shape) == 1, path, "a norm over several dimensions is not covered")
        layer = {"type": kind, "name": path, "affine": module.weight is not None}
        if module.eps is not None:
            layer["eps"] = module.eps
        return layer if kind == "rms_norm" or module.bias is not None else {**layer, "bias": False}

    return make


LAYERS = {"Embedding": embedding_layer, "LayerNorm": norm_layer("layer_norm"), "RMSNorm": norm_layer("rms_norm")}


def position_layer(model, target):
    """A parameter [positions, features] that a traced forward() adds to a sequence."""
    place, _, role = target.rpartition(".")
    return {"type": "positional_embedding", "weight": target}, place if role == "weight" and place else target


# ---- modules that are several layers --------------------------------------------------------------------------------


def attention(walk, path, module, sources):
    """nn.MultiheadAttention of a sequence to itself."""
    refuse_unless(module.batch_first, path, "attention must have batch_first=True")
    refuse_unless(module._qkv_same_embed_dim, path, "keys and values of other sizes are not covered")
    refuse_unless(module.bias_k is None and not module.add_zero_attn, path, "extra keys are not covered")
    projection = {"type": "linear", "out": 3 * module.embed_dim, "weight": path + ".in_proj_weight"}
    projection["bias"] = False if module.in_proj_bias is None else path + ".in_proj_bias"
    packed = walk.add(projection, path + ".in_proj", sources)
    attended = walk.add({"type": "attention", "heads": module.num_heads}, path, [packed])
    return walk.add_module(path + ".out_proj", module.out_proj, [attended])


def encoder_layer(walk, path, module, sources):
    """nn.TransformerEncoderLayer: attention, then two dense layers, each around a sum, normalised first or after."""
    kind = {1: "relu", 2: "gelu"}.get(module.activation_relu_or_gelu)
    refuse_unless(kind, path, "its activation is neither ReLU nor GELU")

    def dense(inputs):
        hidden = walk.add_module(path + ".linear1", module.linear1, inputs)
        active = walk.add({"type": kind}, path + ".activation", [hidden])
        return walk.add_module(path + ".linear2", module.linear2, [active])

    def around(x, norm, work, name):
        before = walk.add_module(path + norm, getattr(module, norm[1:]), [x]) if module.norm_first else x
        total = walk.add({"type": "add"}, path + name, [work([before]), x])
        return total if module.norm_first else walk.add_module(path + norm, getattr(module, norm[1:]), [total])

    middle = around(sources[0], ".norm1", lambda x: attention(walk, path + ".self_attn", module.self_attn, x), ".add1")
    return around(middle, ".norm2", dense, ".add2")


def encoder(walk, path, module, sources):
    """nn.TransformerEncoder."""
    last = sources[0]
    for index, layer in enumerate(module.layers):
        last = encoder_layer(walk, "%s.layers.%d" % (path, index), layer, [last])
    return last if module.norm is None else walk.add_module(path + ".norm", module.norm, [last])


COMPOSITES = {
    "MultiheadAttention": attention,
    "TransformerEncoder": encoder,
    "TransformerEncoderLayer": encoder_layer,
}
