// One layer of a graph as an architecture file describes it.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace fisherdiag {

/// The value of a field: true or false, a number, text, or a list of whole numbers (a single whole number is
/// a list of one).
using LayerField = std::variant<bool, double, std::string, std::vector<std::size_t>>;

struct LayerDescription {
  std::string type;               ///< "conv2d", ...
  std::string name;               ///< its path: "layer1.0.conv1"
  std::vector<std::string> from;  ///< names of the layers it takes; empty: the one before it
  std::map<std::string, LayerField> fields;
};

/// Reads the fields of one layer. Every getter throws ArgumentError naming the layer and the field.
class LayerFields {
 public:
  explicit LayerFields(const LayerDescription& layer) : layer_(layer) {}

  const std::string& name() const { return layer_.name; }
  /// A whole number above 0.
  std::size_t size(const std::string& key, std::optional<std::size_t> otherwise = std::nullopt);
  /// `rank` whole numbers, of which a single one stands for all.
  std::vector<std::size_t> sizes(const std::string& key, std::size_t rank,
                                 std::optional<std::size_t> otherwise = std::nullopt, std::size_t least = 1);
  double number(const std::string& key, double otherwise);
  bool flag(const std::string& key, bool otherwise);
  std::string text(const std::string& key, const std::string& otherwise);
  bool has(const std::string& key) const { return layer_.fields.contains(key); }
  /// True if the field is text, as where it names a parameter.
  bool names(const std::string& key) const;
  /// False only for "bias": false; the name of a parameter means true.
  bool has_bias();

  /// Throws ArgumentError for a field that nobody asked for; `parameters` may name their tensors.
  void check_all_used(const std::set<std::string>& parameters) const;

  /// ArgumentError "layer 'NAME': REASON".
  [[noreturn]] void fail(const std::string& reason) const;

 private:
  const LayerField* find(const std::string& key);

  const LayerDescription& layer_;
  std::set<std::string> used_;
};

}  // namespace fisherdiag
