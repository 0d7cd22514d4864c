// IDX files, the format of MNIST and Fashion-MNIST, plain or gzip-compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"
#include "fisherdiag/io/byte_stream.hpp"
#include "fisherdiag/io/element_type.hpp"

namespace fisherdiag::io {

/// Format (http://yann.lecun.com/exdb/mnist, "The IDX file format"): two zero bytes, the element type, the
/// number of dimensions D, D big-endian 32-bit sizes, then the elements in row-major order. All six
/// element types are read: bytes of both kinds, 16- and 32-bit integers, floats and doubles. Errors:
/// FormatError for another magic or type, D = 0, sizes whose product overflows, and content that is shorter
/// or longer than the sizes say; IoError.
class IdxFile {
 public:
  explicit IdxFile(const std::filesystem::path& path);

  ElementType type() const { return type_; }
  const std::vector<std::size_t>& shape() const { return shape_; }
  /// Elements per row: the product of all dimensions but the first.
  std::size_t row_elements() const { return row_elements_; }

  /// out = elements / divisor for rows [first, first + out.rows); out.cols must be row_elements().
  void read_rows(std::size_t first, MatrixView<float> out, float divisor);

 private:
  std::string name_;
  std::unique_ptr<ByteStream> stream_;
  ElementType type_ = ElementType::U8;
  std::vector<std::size_t> shape_;
  std::size_t row_elements_ = 0;
  std::uint64_t data_offset_ = 0;
};

}  // namespace fisherdiag::io
