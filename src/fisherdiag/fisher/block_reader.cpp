#include "fisherdiag/fisher/block_reader.hpp"

#include <algorithm>
#include <numeric>
#include <system_error>

namespace fisherdiag {

BlockReader::BlockReader(Dataset& data, std::vector<std::uint64_t> subset, std::size_t block_rows,
                         bool with_targets)
    : data_(data), subset_(std::move(subset)), block_rows_(block_rows), with_targets_(with_targets) {
  block_ = make_block();
}

BlockReader::Block BlockReader::make_block() const {
  Block block{{},
              AlignedBuffer<float>(block_rows_ * data_.features()),
              AlignedBuffer<float>(with_targets_ ? block_rows_ * data_.target_width() : 0)};
  block.samples.reserve(block_rows_);
  return block;
}

void BlockReader::select(std::vector<std::uint64_t> subset) {
  forget_ahead();
  subset_ = std::move(subset);
}

void BlockReader::forget_ahead() {
  if (ahead_.valid()) ahead_.wait();
  ahead_ = {};
}

bool BlockReader::read(std::size_t first, std::size_t count) {
  if (ahead_.valid() && next_first_ == first && next_count_ == count) {
    ahead_.get();
    std::swap(block_, next_);
    return true;
  }
  forget_ahead();
  fill(block_, first, count);
  return false;
}

void BlockReader::read_ahead(std::size_t first, std::size_t count) {
  forget_ahead();
  if (next_.inputs.empty()) next_ = make_block();
  next_first_ = first;
  next_count_ = count;
  try {
    ahead_ = std::async(std::launch::async, [this, first, count] { fill(next_, first, count); });
  } catch (const std::system_error&) {
    // No thread is to be had: read() will read when its time comes.
  }
}

void BlockReader::fill(Block& block, std::size_t first, std::size_t count) {
  std::vector<std::uint64_t>& samples = block.samples;
  samples.resize(count);
  if (subset_.empty())
    std::iota(samples.begin(), samples.end(), static_cast<std::uint64_t>(first));
  else
    std::copy_n(subset_.begin() + static_cast<std::ptrdiff_t>(first), count, samples.begin());
  const std::size_t features = data_.features(), width = data_.target_width();
  for (std::size_t begin = 0, end; begin < count; begin = end) {  // neighbours are read in one go
    for (end = begin + 1; end < count && samples[end] == samples[end - 1] + 1;) ++end;
    const auto source = static_cast<std::size_t>(samples[begin]);
    data_.read_inputs(source, {block.inputs.data() + begin * features, end - begin, features});
    if (!block.targets.empty())
      data_.read_targets(source, {block.targets.data() + begin * width, end - begin, width});
  }
}

MatrixView<const float> BlockReader::targets() const {
  if (block_.targets.empty()) return {};
  return {block_.targets.data(), block_.samples.size(), data_.target_width()};
}

}  // namespace fisherdiag
