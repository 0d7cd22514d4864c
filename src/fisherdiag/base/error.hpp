// Typed errors: the library throws these and never prints, exits or aborts.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fisherdiag {

/// Base of every error the library throws. what() is one sentence for the user.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller's mistake: a shape, size or value that the called function cannot take.
class ArgumentError : public Error {
 public:
  using Error::Error;
};

/// A file cannot be opened, read or written; what() names the file and the system's reason.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A file was read but its bytes are not what its format demands.
class FormatError : public Error {
 public:
  /// what() becomes "PATH: REASON" or, with a known place, "PATH: REASON (at byte OFFSET)".
  FormatError(const std::string& path, const std::string& reason);
  FormatError(const std::string& path, const std::string& reason, std::uint64_t offset);
};

/// Well-formed data with values that cannot be used: NaN, infinite, a label outside its classes, no samples.
class DataError : public Error {
 public:
  using Error::Error;
};

/// A model the engine does not cover; what() names the layer and what can be done.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// The caller's stop request ended the work early; nothing was written.
class InterruptedError : public Error {
 public:
  using Error::Error;
};

}  // namespace fisherdiag
