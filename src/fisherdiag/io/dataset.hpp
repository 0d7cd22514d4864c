// Samples for training and for a Fisher pass, read in blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fisherdiag/base/matrix_view.hpp"

namespace fisherdiag {

/// What the targets of a dataset are.
enum class TargetKind {
  None,    ///< inputs only
  Labels,  ///< one class index per sample
  Values,  ///< a row of real numbers per sample
};

/// N samples of I features with, if present, their targets.
///
/// Reads name the samples they want; reading forward in order is fast for every source, going back may
/// restart a compressed stream. Not thread-safe: one reader at a time. Memory does not grow with N unless
/// load_into_memory is used.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::size_t size() const = 0;
  /// Features per sample: the product of the trailing dimensions.
  virtual std::size_t features() const = 0;
  virtual TargetKind target_kind() const = 0;
  /// Columns of read_targets: 0 (None), 1 (Labels) or the row width (Values).
  virtual std::size_t target_width() const = 0;
  /// How the user named it, for messages and metadata.
  virtual const std::string& name() const = 0;

  /// Reads samples [first, first + inputs.rows). inputs.cols must be features().
  /// Errors: ArgumentError outside [0, size()); IoError, FormatError from the file; DataError for a value
  /// that is not finite, naming sample and feature.
  virtual void read_inputs(std::size_t first, MatrixView<float> inputs) = 0;

  /// Reads targets of samples [first, first + targets.rows); targets.cols must be target_width().
  /// Labels arrive as whole numbers; they are not checked against a number of classes here.
  virtual void read_targets(std::size_t first, MatrixView<float> targets) = 0;
};

/// Dimensions a synthetic dataset takes from the model it is made for.
struct SyntheticShape {
  std::size_t features = 0;
  std::size_t classes = 0;
  std::size_t tokens = 0;     ///< features are whole numbers below this; 0: numbers in [0, 1]
  std::size_t positions = 1;  ///< above 1: a label for each, as for the next token of a sequence
};

/// Opens a dataset by the words of the command line.
///
/// data    files of samples [N, ...], each `.npy`, `.npz` (stored or deflated; its array x or arr_0, or
///         `FILE.npz:NAME`), IDX plain or `.gz` (unsigned bytes become floats in [0, 1]) or `.csv` (one
///         sample per line); several as a list `a.npy,b.npy` or a pattern `part-*.npy`, read in natural
///         order. Or `fashion-mnist:train|test`, `mnist:train|test` (the Debian package's folder for
///         Fashion-MNIST, then the folders FISHERDIAG_DATA, ./data/fashion-mnist or ./data/mnist), or
///         `synthetic:N`.
/// labels  files in the same forms of N class indices [N] of any integer type, or values [N, width]; nullopt
///         for data that brings its own (a named set, the array y or arr_1 of a `.npz`) or has none.
///         One-dimensional integers or whole floats are Labels.
/// shape   needed by `synthetic:N` only.
/// Errors: IoError (missing, unreadable), FormatError, DataError (counts differ, no samples, N = 0),
///         ArgumentError for an unknown name or a malformed `synthetic:`.
std::unique_ptr<Dataset> open_dataset(const std::string& data, const std::optional<std::string>& labels,
                                      const SyntheticShape& shape = {});

/// The files that `words`, as given to open_dataset, stand for; none for a data set known by name. They need
/// not exist. Errors: IoError for a pattern that matches nothing.
std::vector<std::string> dataset_files(const std::string& words);

/// A dataset over the caller's arrays, copied. inputs [N, features]; labels empty or N; values empty or
/// N * target_width. At most one of labels and values.
std::unique_ptr<Dataset> make_dataset(std::vector<float> inputs, std::size_t features,
                                      std::vector<std::int32_t> labels = {}, std::vector<float> values = {},
                                      std::size_t value_width = 0, std::string name = "memory");

/// Reads every sample of `source` into memory, for random access in any order at memory speed.
std::unique_ptr<Dataset> load_into_memory(Dataset& source);

}  // namespace fisherdiag
