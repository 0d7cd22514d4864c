"""Whether a method computed the same quantity: numbers in, a verdict out."""

import math
from dataclasses import dataclass

import numpy as np

# Replicates of a Monte Carlo estimate, each with its own seed.
REPLICATES = 24
# |t| of the mean trace beyond which it is called biased. Student's t with 24 - 1 degrees of freedom gives a false alarm
# in 1 of 10,000; a trace off by 7 standard errors is missed in 1 of 30.
MOST_TRACE_T = 4.7
# Squared distance of the mean from the exact diagonal over its expectation. Near 1 if many samples and units carry F;
# in the worst case, one that carries all, the square of such a t, above 16 in 6 of 10,000. A diagonal off by a factor
# of two, with the 1,024 samples used here, gives hundreds.
MOST_DISTANCE_RATIO = 16.0


@dataclass
class Verdict:
    agrees: bool
    error: float  # normwise, relative
    detail: str


def relative_error(a, b):
    """|a - b| / |b| over all parameters; infinite for what is not finite."""
    error = float(np.linalg.norm(np.asarray(a, dtype=np.float64) - b) / np.linalg.norm(b))
    return error if math.isfinite(error) else math.inf


def deterministic(result, reference, tolerance):
    error = relative_error(result, reference)
    return Verdict(error <= tolerance, error, f"relative error {error:.1e}, allowed {tolerance:.0e}")


def monte_carlo(mean, traces, squared_norms, exact):
    """Is the mean of independent estimates an estimate of `exact`?

    mean: average diagonal over R replicates; traces and squared_norms: of each replicate. Tests the trace by Student's
    t, and the distance |mean - exact|^2 against sum |F_r - mean|^2 / (R (R - 1)), its expectation if unbiased.
    """
    count = len(traces)
    spread = float(np.std(traces, ddof=1)) / math.sqrt(count)
    t = (float(np.mean(traces)) - float(np.sum(exact))) / spread if spread > 0 else math.inf
    scatter = float(np.sum(squared_norms)) - count * float(np.dot(mean, mean))
    expected = max(scatter, 0.0) / (count * (count - 1))
    ratio = float(np.sum((mean - exact) ** 2)) / expected if expected > 0 else math.inf
    agrees = abs(t) <= MOST_TRACE_T and ratio <= MOST_DISTANCE_RATIO
    detail = (f"mean of {count} estimates: trace {t:+.1f} standard errors off (allowed {MOST_TRACE_T}), squared distance "
              f"{ratio:.2f} × its expectation (allowed {MOST_DISTANCE_RATIO:.0f})")
    return Verdict(agrees, relative_error(mean, exact), detail)
