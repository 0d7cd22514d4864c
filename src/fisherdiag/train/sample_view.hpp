// Selections of samples in memory, as datasets. Internal to task_stream.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/train/task_stream.hpp"

namespace fisherdiag {

struct TaskStream::Samples {
  std::string name;
  std::size_t features = 0;
  AlignedBuffer<float> inputs;  // [samples, features]
  std::size_t width = 1;        // labels of a sample: one for each position of the network
  std::vector<float> labels;    // [samples, width]

  std::size_t size() const { return labels.size() / width; }
  Samples take(const std::vector<std::uint32_t>& rows) const;
};

/// `rows` of `samples`. `features`: empty, or for each feature the one of the samples it is; `labels`: empty,
/// or what each label becomes, for samples with one label. Reads change nothing, so that several threads may
/// read at once.
std::unique_ptr<Dataset> make_view(std::shared_ptr<const TaskStream::Samples> samples,
                                   std::vector<std::uint32_t> rows, std::vector<std::uint32_t> features,
                                   std::vector<float> labels);

}  // namespace fisherdiag
