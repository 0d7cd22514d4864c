// An error that a caller who knows the cause can explain better.
#pragma once

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

/// The network's outputs, or the loss over them, are not finite although what went in was: to a trainer this
/// means that training diverged.
class NonFiniteError : public DataError {
 public:
  using DataError::DataError;
};

}  // namespace fisherdiag
