#include "fisherdiag/io/npy.hpp"

#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/io/atomic_file.hpp"
#include "fisherdiag/io/checked.hpp"
#include "fisherdiag/io/npy_header.hpp"
#include "fisherdiag/io/runs.hpp"

namespace fisherdiag {

struct NpyFile::State {
  explicit State(std::unique_ptr<io::SizedStream> stream_)
      : stream(std::move(stream_)), header(io::read_npy_header(*stream)) {
    const std::span<const std::size_t> shape(header.shape);
    if (shape.size() > 1) row_elements = *io::checked_product(shape.subspan(1));
  }

  std::unique_ptr<io::SizedStream> stream;
  io::NpyHeader header;
  std::size_t row_elements = 1;
};

NpyFile::NpyFile(const std::filesystem::path& path) : NpyFile(io::open_plain_stream(path)) {}
NpyFile::NpyFile(std::unique_ptr<io::SizedStream> stream)
    : state_(std::make_unique<State>(std::move(stream))) {}
NpyFile::~NpyFile() = default;
NpyFile::NpyFile(NpyFile&&) noexcept = default;
NpyFile& NpyFile::operator=(NpyFile&&) noexcept = default;

const std::vector<std::size_t>& NpyFile::shape() const {
  return state_->header.shape;
}
std::size_t NpyFile::row_elements() const {
  return state_->row_elements;
}
bool NpyFile::is_integer() const {
  return io::is_integer(state_->header.type);
}

void NpyFile::read_rows(std::size_t first, MatrixView<float> out) const {
  const io::NpyHeader& header = state_->header;
  const std::size_t rows = header.shape.empty() ? 1 : header.shape[0];
  if (out.cols != state_->row_elements || first > rows || out.rows > rows - first)
    throw ArgumentError("[NpyFile::read_rows] " + state_->stream->name() + ": rows " + std::to_string(first) +
                        " to " + std::to_string(first + out.rows) + " of width " + std::to_string(out.cols) +
                        " asked of " + std::to_string(rows) + " rows of width " +
                        std::to_string(state_->row_elements));
  const std::uint64_t width = io::element_size(header.type);
  const std::uint64_t start = header.data_offset + first * state_->row_elements * width;
  constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);
  io::for_each_run(out, kNoLimit, [&](std::size_t offset, std::span<float> run) {
    io::read_as_float(*state_->stream, start + offset * width, header.type, header.order, run);
  });
}

void write_npy(const std::filesystem::path& path, std::span<const float> values,
               std::span<const std::size_t> shape) {
  const auto elements = io::checked_product(shape);
  if (!elements || *elements != values.size())
    throw ArgumentError("[write_npy] " + path.string() + ": " + std::to_string(values.size()) +
                        " values do not fill the shape");
  std::string dictionary = std::string("{'descr': '") +
                           (std::endian::native == std::endian::little ? '<' : '>') +
                           "f4', 'fortran_order': False, 'shape': (";
  for (const std::size_t dimension : shape) dictionary += std::to_string(dimension) + ", ";
  dictionary += "), }";

  // Version 1.0: data starts at a multiple of 64 bytes, the padding ends with a newline.
  constexpr std::size_t kPrefixBytes = 10, kAlignment = 64;
  const std::size_t total = (kPrefixBytes + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dictionary.resize(total - kPrefixBytes - 1, ' ');
  dictionary += '\n';
  std::string header(io::kNpyMagic);
  header += '\1';
  header += '\0';
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);

  AtomicFile file(path);
  file.write(header + dictionary);
  file.write(std::as_bytes(values));
  file.commit();
}

}  // namespace fisherdiag
