// Values of a graph for some samples, in one piece of memory.
#pragma once

#include <cstddef>
#include <vector>

#include "fisherdiag/base/aligned.hpp"
#include "fisherdiag/kernels/strips.hpp"
#include "fisherdiag/nn/graph.hpp"

namespace fisherdiag {

/// Some of a graph's values, each a matrix in strips of its samples' positions. One piece of memory, which
/// large pages can hold, has them all; those that are never needed at the same time share their part of it.
class ValueStore {
 public:
  /// Room for `samples` samples of a value that is needed in steps [first, last], both included.
  struct Request {
    std::size_t value, samples, first = 0, last = 0;
  };

  ValueStore() = default;
  /// Decides where everything goes; allocate() makes the memory, zero at first.
  ValueStore(const Graph& graph, std::size_t lanes, std::vector<Request> requests);

  std::size_t bytes() const { return aligned_bytes(floats_ * sizeof(float)); }
  void allocate() { storage_ = AlignedBuffer<float>(floats_); }

  /// Samples [first, first + count) of a value that was asked for.
  kernels::Strips samples(std::size_t value, std::size_t first, std::size_t count) {
    const Place& place = places_[value];
    return {storage_.data() + place.offset + first * place.positions * lanes_, count * place.positions,
            place.features, place.stride};
  }

 private:
  /// In floats: where the value starts and from one strip to the next.
  struct Place {
    std::size_t offset = 0, stride = 0, positions = 0, features = 0;
  };

  std::size_t lanes_ = 0, floats_ = 0;
  std::vector<Place> places_;  // per value of the graph
  AlignedBuffer<float> storage_;
};

}  // namespace fisherdiag
