#include "fisherdiag/fisher/block_reader.hpp"

#include <algorithm>
#include <numeric>

namespace fisherdiag {

BlockReader::BlockReader(Dataset& data, std::vector<std::uint64_t> subset, std::size_t block_rows,
                         bool with_targets)
    : data_(data),
      subset_(std::move(subset)),
      inputs_(block_rows * data.features()),
      targets_(with_targets ? block_rows * data.target_width() : 0) {
  samples_.reserve(block_rows);
}

void BlockReader::read(std::size_t first, std::size_t count) {
  samples_.resize(count);
  if (subset_.empty())
    std::iota(samples_.begin(), samples_.end(), static_cast<std::uint64_t>(first));
  else
    std::copy_n(subset_.begin() + static_cast<std::ptrdiff_t>(first), count, samples_.begin());
  for (std::size_t begin = 0, end; begin < count; begin = end) {  // neighbours are read in one go
    for (end = begin + 1; end < count && samples_[end] == samples_[end - 1] + 1;) ++end;
    const auto source = static_cast<std::size_t>(samples_[begin]);
    data_.read_inputs(source, {inputs_.data() + begin * data_.features(), end - begin, data_.features()});
    if (!targets_.empty())
      data_.read_targets(source,
                         {targets_.data() + begin * data_.target_width(), end - begin, data_.target_width()});
  }
}

MatrixView<const float> BlockReader::targets() const {
  if (targets_.empty()) return {};
  return {targets_.data(), samples_.size(), data_.target_width()};
}

}  // namespace fisherdiag
