#include "fisherdiag/fisher/value_store.hpp"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kLanes = 16;

/// Values of 20 features.
Graph chain_of(std::size_t layers) {
  std::vector<LayerDescription> descriptions;
  for (std::size_t i = 0; i < layers; ++i) {
    LayerDescription layer;
    layer.type = "linear";
    layer.name = "linear" + std::to_string(i);
    layer.fields["out"] = std::vector<std::size_t>{20};
    descriptions.push_back(layer);
  }
  return {ValueShape{{}, 20, true}, std::move(descriptions)};
}

/// Floats [begin, end) of a value's samples, padding included.
std::pair<const float*, const float*> place_of(ValueStore& store, std::size_t value, std::size_t samples) {
  const kernels::Strips all = store.samples(value, 0, samples);
  return {all.data, all.data + (all.cols + kLanes - 1) / kLanes * all.stride};
}

bool overlap(const std::pair<const float*, const float*>& a, const std::pair<const float*, const float*>& b) {
  return a.first < b.second && b.first < a.second;
}

}  // namespace

TEST_CASE("values needed at the same time have memory of their own") {
  const Graph graph = chain_of(5);
  const std::vector<ValueStore::Request> requests{
      {0, 8, 4, 5}, {1, 24, 3, 4}, {2, 8, 2, 3}, {3, 16, 1, 2}, {4, 8, 0, 4}};
  ValueStore store(graph, kLanes, requests);
  store.allocate();
  std::size_t shared = 0;
  for (const auto& a : requests)
    for (const auto& b : requests) {
      if (a.value >= b.value) continue;
      const bool together = a.first <= b.last && b.first <= a.last;
      const bool overlapping =
          overlap(place_of(store, a.value, a.samples), place_of(store, b.value, b.samples));
      CHECK_FALSE((together && overlapping));
      shared += overlapping;
    }
  CHECK(shared > 0);
  ValueStore apart(graph, kLanes, {{0, 8}, {1, 24}, {2, 8}, {3, 16}, {4, 8}});
  CHECK(store.bytes() < apart.bytes());
}

TEST_CASE("samples of a value follow one another") {
  const Graph graph = chain_of(1);
  ValueStore store(graph, kLanes, {{1, 8}});
  store.allocate();
  const kernels::Strips all = store.samples(1, 0, 8), some = store.samples(1, 3, 2);
  CHECK(some.data == all.data + 3 * kLanes);
  CHECK(some.rows == 2);
  CHECK(some.cols == 20);
  CHECK(some.stride == all.stride);
  CHECK(all.data[all.stride + 7 * kLanes + 3] == 0.f);
}
