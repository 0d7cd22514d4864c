// An endless made-up classification problem, for measuring without files.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "fisherdiag/io/dataset.hpp"

namespace fisherdiag::io {

/// `samples` samples in [0, 1], about half of whose features are zero as in images, with labels.
///
/// Each class c has a prototype P_c, half of whose features are zero and the rest uniform in [0, 1). Sample n
/// of class c blends in a second class d: x = clip((1 - a) P_c + a P_d + noise - threshold), a uniform in [0,
/// 0.55). Blends near one half can be of either class, so that no classifier exceeds about 91% accuracy:
/// gradients never vanish. Sample n depends on n, features and classes alone: random access, the same on
/// every machine. With shape.tokens or several shape.positions the samples are as synthetic_tokens.hpp says.
/// Errors: ArgumentError if a dimension of `shape` is zero; DataError for no samples.
std::unique_ptr<Dataset> make_synthetic(std::size_t samples, const SyntheticShape& shape, std::string name);

}  // namespace fisherdiag::io
