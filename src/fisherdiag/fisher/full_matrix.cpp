#include "fisherdiag/fisher/full_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/block_reader.hpp"
#include "fisherdiag/fisher/request.hpp"
#include "fisherdiag/fisher/scalar_graph.hpp"
#include "fisherdiag/kernels/table.hpp"
#include "fisherdiag/likelihood/seeds.hpp"

namespace fisherdiag {

namespace {

/// Samples whose gradients are held at a time.
constexpr std::size_t kBlock = 32;
/// Rows of the matrix one task owns.
constexpr std::size_t kBand = 16;

/// Blocks of samples go in, the matrix comes out.
class FullPass {
 public:
  FullPass(const Network& network, const FullMatrixOptions& options, const Context& context)
      : network_(network),
        options_(options),
        context_(context),
        parameters_(network.architecture().parameter_count()),
        graph_(network),
        seeds_(options.estimator, options.likelihood, network.architecture().outputs(),
               kernels::kernel_table(context.isa())),
        values_(kBlock),
        gradients_(kBlock * parameters_),
        batch_(options.estimator.kind == EstimatorKind::Batched ? parameters_ : 0),
        sum_(parameters_ * parameters_) {}

  void add(const BlockReader& block) {
    const std::size_t rows = block.samples().size(), outputs = network_.architecture().outputs();
    std::vector<float> logits(rows * outputs), seed(rows * outputs);
    context_.parallel_for(rows, [&](std::size_t r, std::size_t) {
      values_[r] = graph_.forward(block.inputs().row(r));
      const scalar::Vector<double>& z = values_[r].back();
      std::transform(z.begin(), z.end(), logits.begin() + static_cast<std::ptrdiff_t>(r * outputs),
                     [](double value) { return static_cast<float>(value); });
    });
    seeds_.prepare({logits.data(), rows, outputs}, block.targets(), block.samples());
    for (std::size_t k = 0; k < seeds_.columns(); ++k) {
      seeds_.write(k, {seed.data(), rows, outputs});
      context_.parallel_for(rows, [&](std::size_t r, std::size_t) {
        write_gradient(r, {seed.data() + r * outputs, outputs});
      });
      if (batch_.empty())
        accumulate(gradients_.data(), rows);
      else
        add_to_batches(rows);
    }
  }

  /// The sum over everything added, and the number of terms a mean divides by.
  std::pair<std::vector<double>, std::size_t> finish(std::size_t samples) {
    if (batch_.empty()) return {std::move(sum_), samples};
    if (in_batch_) close_batch();
    return {std::move(sum_), batches_};
  }

 private:
  /// gradients_(r, .) = J_r^T seed.
  void write_gradient(std::size_t r, std::span<const float> seed) {
    const scalar::Vector<double> gradient = scalar::gradient(graph_, values_[r], {seed.begin(), seed.end()});
    std::ranges::copy(gradient, gradients_.begin() + static_cast<std::ptrdiff_t>(r * parameters_));
  }

  /// The lower triangle of sum_ += the outer squares of `rows` gradients, in their order; each element is one
  /// task's.
  void accumulate(const double* gradients, std::size_t rows) {
    context_.parallel_for((parameters_ + kBand - 1) / kBand, [&](std::size_t band, std::size_t) {
      const std::size_t end = std::min((band + 1) * kBand, parameters_);
      for (std::size_t i = band * kBand; i < end; ++i) {
        double* row = sum_.data() + i * parameters_;
        for (std::size_t r = 0; r < rows; ++r) {
          const double* gradient = gradients + r * parameters_;
          const double factor = gradient[i];
          if (factor == 0) continue;  // an inactive unit
          for (std::size_t j = 0; j <= i; ++j) row[j] += factor * gradient[j];
        }
      }
    });
  }

  void add_to_batches(std::size_t rows) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < parameters_; ++i) batch_[i] += gradients_[r * parameters_ + i];
      if (++in_batch_ == options_.estimator.batch_size) close_batch();
    }
  }

  void close_batch() {
    for (double& value : batch_) value /= static_cast<double>(in_batch_);
    accumulate(batch_.data(), 1);
    std::fill(batch_.begin(), batch_.end(), 0.0);
    in_batch_ = 0;
    ++batches_;
  }

  const Network& network_;
  const FullMatrixOptions& options_;
  const Context& context_;
  std::size_t parameters_;
  scalar::ScalarGraph<double> graph_;
  SeedBlock seeds_;
  std::vector<std::vector<scalar::Vector<double>>> values_;  // of each sample of the block
  std::vector<double> gradients_;                            // [kBlock, P], for one column of seeds
  std::vector<double> batch_;                                // batched: sum of the open batch's gradients
  std::vector<double> sum_;                                  // [P, P], lower triangle
  std::size_t in_batch_ = 0;
  std::size_t batches_ = 0;
};

void require_small(const Architecture& architecture) {
  const std::size_t parameters = architecture.parameter_count();
  if (parameters > kMostFullMatrixParameters)
    throw ArgumentError("the model has " + std::to_string(parameters) +
                        " parameters; the whole Fisher matrix is computed up to " +
                        std::to_string(kMostFullMatrixParameters));
}

/// values = norm * values, the upper triangle from the lower one.
void finish_matrix(const Architecture& architecture, std::vector<double>& values, double norm) {
  const std::size_t size = architecture.parameter_count();
  for (const ParameterTensor& tensor : architecture.parameters())
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
      for (std::size_t j = 0; j <= i; ++j) values[j * size + i] = values[i * size + j] *= norm;
      if (!std::isfinite(values[i * size + i]))
        throw DataError("the Fisher value of element " + std::to_string(i - tensor.offset) + " of '" +
                        tensor.name + "' is not finite; the network's outputs or inputs are too large");
    }
}

}  // namespace

FisherMatrix::FisherMatrix(std::size_t size, std::vector<double> values)
    : size_(size), values_(std::move(values)) {
  if (values_.size() != size * size)
    throw ArgumentError("a matrix of size " + std::to_string(size) + " has " + std::to_string(size * size) +
                        " values, not " + std::to_string(values_.size()));
}

std::vector<double> FisherMatrix::diagonal() const {
  std::vector<double> result(size_);
  for (std::size_t i = 0; i < size_; ++i) result[i] = (*this)(i, i);
  return result;
}

FisherMatrix compute_full_fisher(const Network& network, Dataset& data, const FullMatrixOptions& options,
                                 const Context& context) {
  require_one_position(network.architecture(), "the full matrix");
  const Architecture& architecture = network.architecture();
  require_small(architecture);
  require_fitting_data(network, data, options.estimator, options.likelihood);
  require_finite_weights(network);
  BlockReader reader(data, {}, kBlock, needs_targets(options.estimator.kind));
  FullPass pass(network, options, context);
  for (std::size_t done = 0; done < data.size();) {
    const std::size_t count = std::min(kBlock, data.size() - done);
    reader.read(done, count);
    pass.add(reader);
    done += count;
    if (options.progress && !options.progress(done, data.size())) throw InterruptedError("interrupted");
  }
  auto [values, terms] = pass.finish(data.size());
  finish_matrix(architecture, values,
                options.normalization == Normalization::Sum ? 1.0 : 1.0 / static_cast<double>(terms));
  return {architecture.parameter_count(), std::move(values)};
}

}  // namespace fisherdiag
