#include "fisherdiag/c/fisherdiag.h"

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/accumulator.hpp"

struct fisherdiag_accumulator {
  explicit fisherdiag_accumulator(int threads) : context(threads), accumulator(context) {}

  fisherdiag::Context context;
  fisherdiag::Accumulator accumulator;
  std::vector<std::size_t> inputs, outputs;  ///< of each declared number; outputs 0: not a layer
};

namespace {

using fisherdiag::ArgumentError;
using ConstMatrix = fisherdiag::MatrixView<const float>;

thread_local std::string last_error;

void keep_error(const char* words) noexcept {
  try {
    last_error = words;
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";  // short enough to need no allocation
  }
}

/// No exception may cross into C: what `action` throws becomes the last error and `failed` the result.
template <class Result, class Action>
Result guarded(Result failed, const Action& action) noexcept {
  try {
    last_error.clear();
    return action();
  } catch (const std::bad_alloc&) {
    keep_error("not enough memory");
  } catch (const std::exception& error) {
    keep_error(error.what());
  } catch (...) {
    keep_error("unknown error");
  }
  return failed;
}

void require(const void* pointer, const char* what) {
  if (!pointer) throw ArgumentError(std::string(what) + " is NULL");
}

std::size_t known(const fisherdiag_accumulator* accumulator, std::int64_t number) {
  require(accumulator, "accumulator");
  if (number < 0 || static_cast<std::size_t>(number) >= accumulator->inputs.size())
    throw ArgumentError("there is no layer or parameter of number " + std::to_string(number));
  return static_cast<std::size_t>(number);
}

std::size_t rows_of(std::size_t samples, std::size_t positions) {
  if (positions == 0 || samples > SIZE_MAX / positions)
    throw ArgumentError("positions is 0 or samples x positions overflows");
  return samples * positions;
}

fisherdiag::FisherMetadata metadata_of(const char* estimator, const char* normalization, const char* data) {
  require(estimator, "estimator");
  require(normalization, "normalization");
  fisherdiag::FisherMetadata metadata;
  const auto kind = fisherdiag::estimator_from_name(estimator);
  if (!kind || *kind == fisherdiag::EstimatorKind::Batched)
    throw ArgumentError("estimator '" + std::string(estimator) +
                        "' is not one of empirical, exact, mc, sketch, predicted");
  metadata.estimator.kind = *kind;
  const std::string how = normalization;
  if (how != "mean" && how != "sum") throw ArgumentError("normalization '" + how + "' is not mean or sum");
  metadata.normalization = how == "sum" ? fisherdiag::Normalization::Sum : fisherdiag::Normalization::Mean;
  metadata.data = data ? data : "";
  return metadata;
}

}  // namespace

const char* fisherdiag_version() {
  static const std::string text(fisherdiag::version());
  return text.c_str();
}

const char* fisherdiag_error() {
  return last_error.c_str();
}

fisherdiag_accumulator* fisherdiag_accumulator_new(int threads) {
  return guarded<fisherdiag_accumulator*>(nullptr, [&] { return new fisherdiag_accumulator(threads); });
}

void fisherdiag_accumulator_free(fisherdiag_accumulator* accumulator) {
  delete accumulator;
}

std::int64_t fisherdiag_accumulator_linear(fisherdiag_accumulator* accumulator, const char* name,
                                           std::size_t inputs, std::size_t outputs, int bias) {
  return guarded<std::int64_t>(-1, [&] {
    require(accumulator, "accumulator");
    require(name, "name");
    const std::size_t number = accumulator->accumulator.add_linear_layer(name, inputs, outputs, bias != 0);
    accumulator->inputs.push_back(inputs);
    accumulator->outputs.push_back(outputs);
    return static_cast<std::int64_t>(number);
  });
}

std::int64_t fisherdiag_accumulator_parameter(fisherdiag_accumulator* accumulator, const char* name,
                                              const std::size_t* shape, std::size_t dimensions) {
  return guarded<std::int64_t>(-1, [&] {
    require(accumulator, "accumulator");
    require(name, "name");
    if (dimensions > 0) require(shape, "shape");
    const std::vector<std::size_t> sizes(shape, shape + dimensions);
    const std::size_t number = accumulator->accumulator.add_parameter(name, sizes);
    std::size_t elements = 1;
    for (const std::size_t size : sizes) elements *= size;
    accumulator->inputs.push_back(elements);
    accumulator->outputs.push_back(0);
    return static_cast<std::int64_t>(number);
  });
}

int fisherdiag_accumulator_add_linear(fisherdiag_accumulator* accumulator, std::int64_t layer,
                                      const float* inputs, const float* sensitivities, std::size_t samples,
                                      std::size_t positions, int same_samples) {
  return guarded(-1, [&] {
    const std::size_t number = known(accumulator, layer);
    require(inputs, "inputs");
    require(sensitivities, "sensitivities");
    const std::size_t rows = rows_of(samples, positions);
    const ConstMatrix a(inputs, rows, accumulator->inputs[number]);
    const ConstMatrix d(sensitivities, rows, accumulator->outputs[number]);
    if (same_samples)
      accumulator->accumulator.add_linear_seed(number, a, d, positions);
    else
      accumulator->accumulator.add_linear(number, a, d, positions);
    return 0;
  });
}

int fisherdiag_accumulator_add_gradients(fisherdiag_accumulator* accumulator, std::int64_t parameter,
                                         const float* gradients, std::size_t samples) {
  return guarded(-1, [&] {
    const std::size_t number = known(accumulator, parameter);
    require(gradients, "gradients");
    accumulator->accumulator.add_gradients(number, {gradients, samples, accumulator->inputs[number]});
    return 0;
  });
}

int fisherdiag_accumulator_save(fisherdiag_accumulator* accumulator, const char* path, const char* estimator,
                                const char* normalization, const char* data) {
  return guarded(-1, [&] {
    require(accumulator, "accumulator");
    require(path, "path");
    accumulator->accumulator.finish(metadata_of(estimator, normalization, data)).save(path);
    return 0;
  });
}
