"""The samples and weights every method sees, as files and as arrays."""

import gzip
import pathlib

import numpy as np

FEATURES, CLASSES = 784, 10

# Fashion-MNIST's training files (and MNIST's): images and labels, plain or gzip-compressed.
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def read_idx(path):
    """An IDX file of unsigned bytes: zeros (2), 0x08, dimensions, big-endian sizes, elements."""
    path = pathlib.Path(path)
    with (gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")) as stream:
        content = stream.read()
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    header = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:header], dtype=">u4").astype(np.int64)
    if len(content) - header != np.prod(shape):
        raise ValueError(f"{path}: its header says {np.prod(shape)} elements, it has {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_images(folder):
    """(inputs [N, 784] in [0, 1], labels [N]) of a folder of IDX files."""
    def find(stem):
        for name in (stem, stem + ".gz"):
            if (pathlib.Path(folder) / name).exists():
                return pathlib.Path(folder) / name
        raise FileNotFoundError(f"{folder}: no {stem} or {stem}.gz")
    images, labels = read_idx(find(IMAGES)), read_idx(find(LABELS))
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255), labels.astype(np.int32)


def synthetic(count, seed=1, features=FEATURES):
    """Half-blank rows whose class a random linear map decides, so that a network can learn something."""
    random = np.random.default_rng(seed)
    inputs = np.maximum(random.uniform(-1, 1, (count, features)), 0).astype(np.float32)
    labels = (inputs @ random.standard_normal((features, CLASSES)).astype(np.float32)).argmax(1)
    return inputs, labels.astype(np.int32)


def tokens(count, positions, tokens_, seed=1):
    """Sequences of numbers of tokens, and classes that have nothing to do with them."""
    random = np.random.default_rng(seed)
    inputs = random.integers(0, tokens_, (count, positions)).astype(np.float32)
    return inputs, random.integers(0, CLASSES, count).astype(np.int32)


def write_samples(folder, name, inputs, labels, count):
    """NAME-x.npy and NAME-y.npy with `count` samples, those there are repeated in turn; returns the two paths."""
    x_path, y_path = pathlib.Path(folder) / f"{name}-x.npy", pathlib.Path(folder) / f"{name}-y.npy"
    target = np.lib.format.open_memmap(x_path, mode="w+", dtype=np.float32, shape=(count, *inputs.shape[1:]))
    for begin in range(0, count, len(inputs)):
        target[begin:begin + len(inputs)] = inputs[:count - begin]
    target.flush()
    np.save(y_path, np.resize(labels, count))
    return x_path, y_path


def logits_and_margin(layers, inputs):
    """Logits and, per sample, the smallest |preactivation| of a ReLU; in double."""
    activations, margin = inputs.astype(np.float64), np.full(len(inputs), np.inf)
    for weight, bias in layers[:-1]:
        preactivations = activations @ weight.T.astype(np.float64) + bias
        margin = np.minimum(margin, np.abs(preactivations).min(axis=1))
        activations = np.maximum(preactivations, 0)
    return activations @ layers[-1][0].T.astype(np.float64) + layers[-1][1], margin


def away_from_kinks(layers, inputs, wanted, margin=1e-5):
    """Indices of the first `wanted` samples where no ReLU is so near zero that rounding decides whether it is active.

    Float32 preactivations of size 1 differ by about 1e-6 between libraries. One switched unit of a sample that
    dominates F would change F by more than the tolerance though both results are right.
    """
    return first_beyond(lambda block: logits_and_margin(layers, block)[1], inputs, wanted, margin)


def first_beyond(margins_of, inputs, wanted, margin):
    """Indices of the first `wanted` samples for which margins_of(inputs [n, ...]) exceeds `margin`."""
    chosen = []
    for begin in range(0, len(inputs), 256):
        chosen.extend(begin + np.flatnonzero(margins_of(inputs[begin:begin + 256]) > margin))
        if len(chosen) >= wanted:
            break
    return np.array(chosen[:wanted])


def read_tensors(path, names):
    """Arrays of a safetensors file in the order of `names`."""
    from safetensors.numpy import load_file
    tensors = load_file(str(path))
    return [tensors[name] for name in names]


def read_layers(path, names):
    """[(weight, bias), ...] of a safetensors file."""
    tensors = read_tensors(path, names)
    return list(zip(tensors[0::2], tensors[1::2]))


def flat(tensors):
    """One vector of all parameters."""
    return np.concatenate([np.asarray(tensor, dtype=np.float64).ravel() for tensor in tensors])
