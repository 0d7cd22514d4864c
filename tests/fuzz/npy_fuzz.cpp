#include "fisherdiag/io/npy.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(npy) {
  const NpyFile file(fuzz::path_of(input));
  const std::size_t rows = file.shape().empty() ? 1 : file.shape()[0];
  fuzz::read_some(rows, file.row_elements(),
                  [&](std::size_t first, MatrixView<float> out) { file.read_rows(first, out); });
}
