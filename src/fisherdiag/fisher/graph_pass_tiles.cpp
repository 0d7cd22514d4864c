// The second phase of a GraphPass: tiles of F and of what goes with it.
#include <algorithm>
#include <utility>

#include "fisherdiag/fisher/graph_pass.hpp"
#include "fisherdiag/fisher/graph_pass_worker.hpp"

namespace fisherdiag {

OpAccumulate GraphPass::request(const Tile& tile, std::size_t node, std::size_t first, std::size_t count,
                                Worker& worker) {
  OpAccumulate a;
  a.input = activation(network_.graph().nodes()[node].inputs.front(), first, count, worker);
  a.samples = count;
  a.strip_begin = tile.strip_begin;
  a.strip_end = tile.strip_end;
  a.sums = sums_.data() + architecture_.parameters()[tile.tensor].offset;
  a.scratch = &worker.scratch;
  a.traces = tile_traces(tile, first);
  if (!squares_.empty() && network_.op(node).sums_squares())
    a.squares = squares_.data() + architecture_.parameters()[tile.tensor].offset;
  return a;
}

/// `last`: no seeds of these samples come after.
void GraphPass::add_tile(const Tile& tile, std::size_t rows, std::size_t seeds, bool last, Worker& worker) {
  if (layout_.is_near[tile.tensor]) {
    const PassTimer timer(worker.track, PassPhase::Merge);
    return add_chunks(tile, rows, last);
  }
  const std::size_t node = tile.nodes.front(), lanes = network_.kernels().lanes;
  const GradientMatrix matrix = network_.op(node).gradient_matrix();
  const double columns =
      static_cast<double>(std::min(tile.strip_end * lanes, matrix.columns) - tile.strip_begin * lanes);
  const PassTimer timer(worker.track, PassPhase::Accumulate, node,
                        static_cast<double>(rows * seeds) * network_.op(node).flops().accumulate * columns /
                            static_cast<double>(matrix.columns));
  for (std::size_t chain = 0; chain < rows; chain += layout_.chain) {
    const std::size_t end = std::min(chain + layout_.chain, rows);
    add_chain(tile, chain, end, seeds, worker);
    if (last && sums_.ends_at(end)) fold_section(tile);
  }
}

void GraphPass::add_chain(const Tile& tile, std::size_t begin, std::size_t end, std::size_t seeds,
                          Worker& worker) {
  if (estimator_.kind == EstimatorKind::Batched) return add_summed(tile, begin, end - begin, 0, worker);
  if (tile.nodes.size() > 1) {
    for (std::size_t n = begin; n < end; ++n)
      for (std::size_t k = 0; k < seeds; ++k) add_summed(tile, n, 1, k, worker);
    return add_squares(tile, begin, end, seeds, worker);
  }
  const std::size_t node = tile.nodes.front(), step = network_.op(node).accumulate_samples();
  for (std::size_t first = begin; first < end; first += step) {
    const std::size_t count = std::min(step, end - first);
    OpAccumulate a = request(tile, node, first, count, worker);
    worker.tile_deltas.clear();
    for (std::size_t k = 0; k < seeds; ++k)
      worker.tile_deltas.push_back(delta(node + 1, k, first, count, worker));
    a.deltas = worker.tile_deltas;
    network_.op(node).accumulate(a);
  }
  if (!network_.op(node).sums_squares()) add_squares(tile, begin, end, seeds, worker);
}

void GraphPass::fold_section(const Tile& tile) {
  const Columns columns = columns_of(tile);
  for (std::size_t r = 0; r < columns.rows; ++r) sums_.fold(columns.offset + r * columns.all, columns.count);
}

/// The columns of a tile and the floats from one of its rows to the next.
GraphPass::Columns GraphPass::columns_of(const Tile& tile) const {
  const std::size_t lanes = network_.kernels().lanes, first = tile.strip_begin * lanes;
  const GradientMatrix matrix = network_.op(tile.nodes.front()).gradient_matrix();
  const std::size_t count = std::min(tile.strip_end * lanes, matrix.columns) - first;
  return {architecture_.parameters()[tile.tensor].offset + first, matrix.rows, matrix.columns, count,
          (count + lanes - 1) / lanes * lanes};
}

/// worker.gradient: the sum of `count` samples' gradients over all layers that use the tensor.
void GraphPass::form_gradient(const Tile& tile, std::size_t first, std::size_t count, std::size_t seed,
                              Worker& worker) {
  const Columns columns = columns_of(tile);
  std::fill_n(worker.gradient.data(), columns.rows * columns.stride, 0.f);
  for (const std::size_t node : tile.nodes) {
    const std::size_t step = network_.op(node).accumulate_samples();
    for (std::size_t n = first; n < first + count; n += step) {
      const std::size_t some = std::min(step, first + count - n);
      OpAccumulate a = request(tile, node, n, some, worker);
      const kernels::ConstStrips own = delta(node + 1, seed, n, some, worker);
      a.deltas = {&own, 1};
      network_.op(node).add_gradient(a, worker.gradient.data(), columns.stride);
    }
  }
}

/// The square of that sum; for batched, of the samples' mean.
void GraphPass::add_summed(const Tile& tile, std::size_t first, std::size_t count, std::size_t seed,
                           Worker& worker) {
  form_gradient(tile, first, count, seed, worker);
  const Columns columns = columns_of(tile);
  const double scale = estimator_.kind == EstimatorKind::Batched ? 1 / static_cast<double>(count) : 1;
  double* sums = sums_.data() + columns.offset;
  double trace = 0;
  for (std::size_t r = 0; r < columns.rows; ++r)
    for (std::size_t c = 0; c < columns.count; ++c) {
      const double value = scale * static_cast<double>(worker.gradient[r * columns.stride + c]);
      sums[r * columns.all + c] += value * value;
      trace += value * value;
    }
  if (double* own = tile_traces(tile, first)) *own += trace;
}

/// The squares of what samples [begin, end) add, where their operation does not sum them: one sample's
/// gradients are formed anew.
void GraphPass::add_squares(const Tile& tile, std::size_t begin, std::size_t end, std::size_t seeds,
                            Worker& worker) {
  if (squares_.empty()) return;
  const Columns columns = columns_of(tile);
  double* squares = squares_.data() + columns.offset;
  for (std::size_t n = begin; n < end; ++n) {
    std::fill_n(worker.added.data(), columns.rows * columns.stride, 0.f);
    for (std::size_t k = 0; k < seeds; ++k) {
      form_gradient(tile, n, 1, k, worker);
      for (std::size_t i = 0; i < columns.rows * columns.stride; ++i)
        worker.added[i] += worker.gradient[i] * worker.gradient[i];
    }
    for (std::size_t r = 0; r < columns.rows; ++r)
      for (std::size_t c = 0; c < columns.count; ++c) {
        const double scaled = static_cast<double>(kernels::kSquareScale) *
                              static_cast<double>(worker.added[r * columns.stride + c]);
        squares[r * columns.all + c] += scaled * scaled;
      }
  }
}

/// Elements [begin, end) of the small tensors, as one row of kept_gradients_ holds them.
void GraphPass::add_vectors(std::size_t begin, std::size_t end, std::size_t rows, bool last) {
  const bool batched = estimator_.kind == EstimatorKind::Batched;
  for (std::size_t t = 0; t < architecture_.parameters().size(); ++t) {
    if (layout_.is_matrix[t]) continue;
    const std::size_t offset = layout_.vector_offset[t], size = architecture_.parameters()[t].size;
    const std::size_t place = architecture_.parameters()[t].offset;
    double* sums = sums_.data() + place;
    for (std::size_t e = std::max(begin, offset); e < std::min(end, offset + size); ++e)
      for (std::size_t chain = 0; chain < rows; chain += layout_.chain) {
        const std::size_t count = std::min(layout_.chain, rows - chain);
        double sum = 0;
        for (std::size_t n = chain; n < chain + count; ++n)
          sum += static_cast<double>(kept_gradients_[n * layout_.vector_elements + e]);
        const double mean = sum / static_cast<double>(count);
        sums[e - offset] += batched ? mean * mean : sum;
        if (!squares_.empty()) add_vector_squares(place + e - offset, e, chain, count);
        if (last && sums_.ends_at(chain + count)) sums_.fold(place + e - offset, 1);
      }
  }
}

/// The squares of what samples [first, first + count) add to `parameter`, element `e` of kept_gradients_.
void GraphPass::add_vector_squares(std::size_t parameter, std::size_t e, std::size_t first,
                                   std::size_t count) {
  for (std::size_t n = first; n < first + count; ++n) {
    const double scaled = static_cast<double>(kernels::kSquareScale) *
                          static_cast<double>(kept_gradients_[n * layout_.vector_elements + e]);
    squares_[parameter] += scaled * scaled;
  }
}

/// Of the samples from `first` on within a tile of tiles_; nullptr: nobody wants them.
double* GraphPass::tile_traces(const Tile& tile, std::size_t first) {
  if (!traces_wanted_) return nullptr;
  return tile_traces_.data() + static_cast<std::size_t>(&tile - tiles_.data()) * block_rows_ + first;
}

/// Adds what the small tensors' kept squares of samples [first, first + count) sum to.
void GraphPass::trace_vectors(MatrixView<double> traces, std::size_t first, std::size_t count) const {
  for (std::size_t t = 0; t < trace_parts_.size(); ++t) {
    if (layout_.is_matrix[t]) continue;
    for (std::size_t n = first; n < first + count; ++n) {
      const float* squares = kept_gradients_.data() + n * layout_.vector_elements + layout_.vector_offset[t];
      double sum = 0;
      for (std::size_t e = 0; e < architecture_.parameters()[t].size; ++e)
        sum += static_cast<double>(squares[e]);
      traces(n, trace_parts_[t]) += sum;
    }
  }
}

void GraphPass::trace_tiles(MatrixView<double> traces) const {
  for (std::size_t i = 0; i < tiles_.size(); ++i)
    for (std::size_t n = 0; n < traces.rows; ++n)
      traces(n, trace_parts_[tiles_[i].tensor]) += tile_traces_[i * block_rows_ + n];
}

AlignedBuffer<double> GraphPass::take_squares() {
  if (squares_.empty()) return {};
  AlignedBuffer<double> squares = in_parameter_order(std::move(squares_));
  for (double& square : squares)
    square /= static_cast<double>(kernels::kSquareScale) * static_cast<double>(kernels::kSquareScale);
  return squares;
}

AlignedBuffer<double> GraphPass::in_parameter_order(AlignedBuffer<double> sum) const {
  context_.parallel_for(tiles_.size(), [&](std::size_t t, std::size_t) {
    const Tile& tile = tiles_[t];
    if (tile.strip_begin) return;  // one tile of each matrix
    std::vector<double> row;
    const Op& op = network_.op(tile.nodes.front());
    const GradientMatrix matrix = op.gradient_matrix();
    double* values = sum.data() + architecture_.parameters()[tile.tensor].offset;
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      row.assign(values + r * matrix.columns, values + (r + 1) * matrix.columns);
      for (std::size_t c = 0; c < matrix.columns; ++c) values[op.parameter_index(r, c)] = row[c];
    }
  });
  return sum;
}

}  // namespace fisherdiag
