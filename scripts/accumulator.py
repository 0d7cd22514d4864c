"""fisherdiag's Accumulator from Python: the diagonal of any PyTorch model, from hooks. See docs/accumulator.md.

    accumulator = Accumulator("build/release/src/libfisherdiag_c.so")
    with watch(model, accumulator):
        for x, y in batches:
            torch.nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    accumulator.save("F.safetensors", estimator="empirical")

Accumulator needs only ctypes and objects with NumPy's array interface; watch() and per_sample_gradients() need PyTorch.
"""

import contextlib
import ctypes


class FisherdiagError(RuntimeError):
    """The library's own sentence."""


class Accumulator:
    """Sums squared per-sample gradients; the functions are those of src/fisherdiag/c/fisherdiag.h."""

    def __init__(self, library, threads=0):
        size, pointer, text = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
        self._library = ctypes.CDLL(library)
        for name, result, arguments in [
            ("error", text, []),
            ("accumulator_new", pointer, [ctypes.c_int]),
            ("accumulator_free", None, [pointer]),
            ("accumulator_linear", ctypes.c_int64, [pointer, text, size, size, ctypes.c_int]),
            ("accumulator_parameter", ctypes.c_int64, [pointer, text, ctypes.POINTER(size), size]),
            (
                "accumulator_add_linear",
                ctypes.c_int,
                [pointer, ctypes.c_int64, pointer, pointer, size, size, ctypes.c_int],
            ),
            ("accumulator_add_gradients", ctypes.c_int, [pointer, ctypes.c_int64, pointer, size]),
            ("accumulator_save", ctypes.c_int, [pointer, text, text, text, text]),
        ]:
            function = getattr(self._library, "fisherdiag_" + name)
            function.restype, function.argtypes = result, arguments
        self._handle = self._library.fisherdiag_accumulator_new(threads)
        self._numbers = {}
        if not self._handle:
            raise FisherdiagError(self._library.fisherdiag_error().decode())

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.fisherdiag_accumulator_free(self._handle)
            self._handle = None

    def _checked(self, result):
        if result < 0:
            raise FisherdiagError(self._library.fisherdiag_error().decode())
        return result

    def linear(self, name, inputs, outputs, bias=True):
        """Declares the layer y = W x + b called `name`."""
        self._numbers[name] = self._checked(
            self._library.fisherdiag_accumulator_linear(self._handle, name.encode(), inputs, outputs, bias)
        )

    def parameter(self, name, shape):
        """Declares a parameter whose per-sample gradients will be given."""
        sizes = (ctypes.c_size_t * len(shape))(*shape)
        self._numbers[name] = self._checked(
            self._library.fisherdiag_accumulator_parameter(self._handle, name.encode(), sizes, len(shape))
        )

    def add_linear(self, name, inputs, sensitivities, same_samples=False):
        """inputs [N, ..., I] and sensitivities [N, ..., O], the gradient of the summed loss by the layer's output;
        what lies between are positions of one sample, whose gradients add up before they are squared."""
        samples = inputs.shape[0]
        positions = 1
        for length in inputs.shape[1:-1]:
            positions *= length
        keep = _float32(inputs), _float32(sensitivities)
        if keep[0].shape[:-1] != keep[1].shape[:-1]:
            raise FisherdiagError(
                "layer '%s': inputs %s and sensitivities %s do not belong together"
                % (name, tuple(inputs.shape), tuple(sensitivities.shape))
            )
        self._checked(
            self._library.fisherdiag_accumulator_add_linear(
                self._handle,
                self._numbers[name],
                _address(keep[0]),
                _address(keep[1]),
                samples,
                positions,
                same_samples,
            )
        )

    def add_gradients(self, name, gradients):
        """gradients [N, *shape]: one gradient per sample."""
        keep = _float32(gradients)
        self._checked(
            self._library.fisherdiag_accumulator_add_gradients(
                self._handle, self._numbers[name], _address(keep), gradients.shape[0]
            )
        )

    def save(self, path, estimator="empirical", normalization="mean", data=""):
        """Writes the file that `fisherdiag compute` writes, with the declared names."""
        self._checked(
            self._library.fisherdiag_accumulator_save(
                self._handle, path.encode(), estimator.encode(), normalization.encode(), data.encode()
            )
        )


def _float32(array):
    """Contiguous float32 on the CPU, of a tensor or an array."""
    if hasattr(array, "detach"):
        array = array.detach().to("cpu").float().contiguous()
        return array.numpy()
    import numpy

    return numpy.ascontiguousarray(array, dtype=numpy.float32)


def _address(array):
    return array.ctypes.data


@contextlib.contextmanager
def watch(model, accumulator):
    """Feeds every torch.nn.Linear of `model` to the accumulator while backward passes run. A layer that is used
    several times in one forward pass is an error; other layers with parameters are left to add_gradients."""
    import torch

    handles, inputs = [], {}

    def keep_input(name):
        def hook(module, arguments):
            if name in inputs:
                raise FisherdiagError("layer '%s' is used twice before a backward pass" % name)
            inputs[name] = arguments[0].detach()

        return hook

    def add(name):
        def hook(module, grad_input, grad_output):
            accumulator.add_linear(name, inputs.pop(name), grad_output[0])

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            accumulator.linear(name, module.in_features, module.out_features, module.bias is not None)
            handles += [
                module.register_forward_pre_hook(keep_input(name)),
                module.register_full_backward_hook(add(name)),
            ]
    try:
        yield accumulator
    finally:
        for handle in handles:
            handle.remove()


def per_sample_gradients(model, loss, x, y):
    """{name: [N, *shape]} by torch.func: loss(outputs, targets) of a batch of one. For small batches: this stores a
    gradient per sample."""
    import torch

    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def of_one(values, one_x, one_y):
        return loss(torch.func.functional_call(model, values, (one_x[None],)), one_y[None])

    return torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))(parameters, x, y)
