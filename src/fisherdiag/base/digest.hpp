// SHA-256 of values, for naming weights and results.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace fisherdiag {

/// Incremental SHA-256 (OpenSSL's).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  template <class T>
  void update_values(std::span<const T> values) {
    update(std::as_bytes(values));
  }
  /// 64 lower-case hexadecimal digits. Call once.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fisherdiag
