// Rows that are held in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "fisherdiag/io/row_source.hpp"

namespace fisherdiag::io {

class MemoryRows final : public RowSource {
 public:
  /// `values` are rows of `width` > 0 numbers each.
  MemoryRows(std::string name, std::vector<float> values, std::size_t width)
      : name_(std::move(name)), values_(std::move(values)), width_(width) {}

  std::size_t rows() const override { return values_.size() / width_; }
  std::size_t width() const override { return width_; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t first, MatrixView<float> out) override {
    for (std::size_t r = 0; r < out.rows; ++r)
      std::copy_n(values_.data() + (first + r) * width_, width_, out.row(r));
  }

 private:
  std::string name_;
  std::vector<float> values_;
  std::size_t width_;
};

}  // namespace fisherdiag::io
