#include "fisherdiag/fisher/value_store.hpp"

#include <algorithm>

#include "fisherdiag/nn/strip_buffer.hpp"

namespace fisherdiag {

namespace {

/// Floats [begin, end) that are taken in steps [first, last].
struct Taken {
  std::size_t begin, end, first, last;
};

/// The lowest place for `floats` floats among those that are taken at the same time, in order of their ends.
std::size_t lowest_place(const std::vector<Taken>& taken, const ValueStore::Request& request,
                         std::size_t floats) {
  std::vector<Taken> others;
  for (const Taken& t : taken)
    if (t.first <= request.last && request.first <= t.last) others.push_back(t);
  std::ranges::sort(others, {}, &Taken::begin);
  std::size_t place = 0;
  for (const Taken& t : others) {
    if (place + floats <= t.begin) break;
    place = std::max(place, t.end);
  }
  return place;
}

}  // namespace

ValueStore::ValueStore(const Graph& graph, std::size_t lanes, std::vector<Request> requests)
    : lanes_(lanes), places_(graph.nodes().size() + 1) {
  const auto floats = [&](const Request& r) {
    const ValueShape& shape = graph.value(r.value);
    return StripBuffer::floats(r.samples * shape.positions(), shape.features, lanes);
  };
  // Large ones first: small ones find room between them.
  std::ranges::stable_sort(requests, std::ranges::greater{}, floats);
  std::vector<Taken> taken;
  for (const Request& r : requests) {
    const ValueShape& shape = graph.value(r.value);
    const std::size_t size = floats(r), offset = lowest_place(taken, r, size);
    taken.push_back({offset, offset + size, r.first, r.last});
    places_[r.value] = {offset, StripBuffer::strip_floats(r.samples * shape.positions(), lanes),
                        shape.positions(), shape.features};
    floats_ = std::max(floats_, offset + size);
  }
}

}  // namespace fisherdiag
