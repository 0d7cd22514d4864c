#include "fisherdiag/io/gzip.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

/// The first two bytes say what size is declared; the rest, with gzip's magic before it, is the file.
FISHERDIAG_FUZZ_TARGET(gzip) {
  if (input.size() < 2) return;
  const std::size_t declared =
      static_cast<unsigned char>(input[0]) + 256 * static_cast<unsigned char>(input[1]);
  io::GzipStream stream(io::InputFile(fuzz::path_of("\x1F\x8B" + std::string(input.substr(2)))));
  stream.declare_size(declared);
  std::vector<std::byte> content(declared);
  stream.read_at(0, content);
  if (declared > 0) stream.read_at(declared / 2, std::span(content).first(1));
}
