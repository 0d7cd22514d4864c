#include "fisherdiag/io/csv.hpp"
#include "fuzz/target.hpp"

using namespace fisherdiag;

FISHERDIAG_FUZZ_TARGET(csv) {
  const io::CsvTable table = io::read_csv(fuzz::path_of(input));
  if (table.columns == 0 || table.values.size() % table.columns != 0) std::abort();
}
