#include "fisherdiag/io/idx.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(idx) {
  io::IdxFile file(fuzz::path_of(input));
  fuzz::read_some(file.shape()[0], file.row_elements(),
                  [&](std::size_t first, MatrixView<float> out) { file.read_rows(first, out, 255.0f); });
}
