#include "fisherdiag/io/npy.hpp"
#include "fisherdiag/io/zip.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(npz) {
  const io::ZipArchive archive(fuzz::path_of(input));
  for (const io::ZipMember& member : archive.members()) {
    try {
      const NpyFile file(archive.open(member));
      const std::size_t rows = file.shape().empty() ? 1 : file.shape()[0];
      fuzz::read_some(rows, file.row_elements(),
                      [&](std::size_t first, MatrixView<float> out) { file.read_rows(first, out); });
    } catch (const Error&) {
      // the other members are still to be read
    }
  }
}
