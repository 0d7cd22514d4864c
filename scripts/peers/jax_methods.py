"""The diagonal in JAX: a compiled vmap of grad. Returns sums over samples."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

VERSIONS = {"jax": jax.__version__}


def nll(parameters, sample, label):
    activations = sample
    for weight, bias in parameters[:-1]:
        activations = jax.nn.relu(weight @ activations + bias)
    weight, bias = parameters[-1]
    return -jax.nn.log_softmax(weight @ activations + bias)[label]


@partial(jax.jit, static_argnames="batch", donate_argnames="sums")
def add_batch(sums, parameters, x, y, begin, batch):
    samples = jax.lax.dynamic_slice_in_dim(x, begin, batch)
    labels = jax.lax.dynamic_slice_in_dim(y, begin, batch)
    gradients = jax.vmap(jax.grad(nll), in_axes=(None, 0, 0))(parameters, samples, labels)
    return jax.tree.map(lambda total, gradient: total + (gradient * gradient).sum(0), sums, gradients)


class VmapOfGrad:
    def __init__(self, tensors):
        self.parameters = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(tensors[0::2], tensors[1::2])]

    def load(self, inputs, labels):
        return jax.block_until_ready((jnp.asarray(inputs), jnp.asarray(labels)))

    def seed(self, seed):
        """Nothing here is random."""

    def run(self, x, y, batch):
        sums = jax.tree.map(jnp.zeros_like, self.parameters)
        for begin in range(0, len(x), batch):
            sums = add_batch(sums, self.parameters, x, y, begin, min(batch, len(x) - begin))
        return jax.block_until_ready(sums)

    @staticmethod
    def arrays(sums):
        return [np.asarray(array) for pair in sums for array in pair]


METHODS = {"jax-vmap": VmapOfGrad}
