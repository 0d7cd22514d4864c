// NumPy's .npy files (format versions 1 to 3).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"

namespace fisherdiag {

namespace io {
class SizedStream;
}

/// An open .npy array, read by rows of its first dimension and converted to float.
///
/// dtypes: f2, f4, f8, u1, i1, u2, i2, u4, i4, u8, i8, b1, little- or big-endian; C order. FormatError
/// otherwise, and for a bad magic, a header over 10,000 bytes or not a plain dictionary, an overflowing
/// shape, a size that differs.
class NpyFile {
 public:
  explicit NpyFile(const std::filesystem::path& path);
  /// A .npy array that is a member of an archive.
  explicit NpyFile(std::unique_ptr<io::SizedStream> stream);
  ~NpyFile();
  NpyFile(NpyFile&&) noexcept;
  NpyFile& operator=(NpyFile&&) noexcept;

  const std::vector<std::size_t>& shape() const;
  /// Elements per row: the product of all dimensions but the first.
  std::size_t row_elements() const;
  bool is_integer() const;
  /// Reads rows [first, first + out.rows); out.cols must be row_elements().
  void read_rows(std::size_t first, MatrixView<float> out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes a float32 array atomically, as write_safetensors does.
void write_npy(const std::filesystem::path& path, std::span<const float> values,
               std::span<const std::size_t> shape);

}  // namespace fisherdiag
