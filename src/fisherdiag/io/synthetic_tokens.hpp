// Made-up sequences of tokens, for measuring without files.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "fisherdiag/io/dataset.hpp"

namespace fisherdiag::io {

/// `samples` sequences with shape.features places, with labels.
///
/// Sample n has a class c; each token is followed, half of the time, by the one a rule of the class's own
/// gives, else by any token. With one label per sample it is c; with a label for each of shape.positions it
/// is the token that comes next, modulo the classes. Without shape.tokens the places hold token / 256 of 256
/// tokens. Sample n depends on n and shape alone: random access, the same on every machine.
std::unique_ptr<Dataset> make_synthetic_tokens(std::size_t samples, const SyntheticShape& shape,
                                               std::string name);

}  // namespace fisherdiag::io
