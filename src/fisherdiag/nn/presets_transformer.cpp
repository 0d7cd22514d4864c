// The presets that are transformers, with the names of torch.nn.TransformerEncoder(norm_first=True).
#include "fisherdiag/nn/presets_transformer.hpp"

#include <utility>
#include <vector>

namespace fisherdiag {

namespace {

using Sizes = std::vector<std::size_t>;

struct Shape {
  std::size_t positions, tokens, width, heads, layers;
  bool causal;
};

class Transformer {
 public:
  explicit Transformer(const Shape& shape) : shape_(shape) {
    add("embedding", "embedding", {{"tokens", Sizes{shape.tokens}}, {"out", Sizes{shape.width}}});
    add("positional_embedding", "position");
    for (std::size_t l = 0; l < shape.layers; ++l) block("encoder.layers." + std::to_string(l) + ".");
    add("layer_norm", "encoder.norm");
  }

  /// The mean over positions, and a dense layer.
  Graph classify(std::size_t classes) {
    add("sequence_mean", "mean");
    add("linear", "head", {{"out", Sizes{classes}}});
    return graph();
  }
  /// At each position the next token, by the table of embeddings.
  Graph predict() {
    add("linear", "head",
        {{"out", Sizes{shape_.tokens}}, {"weight", std::string("embedding.weight")}, {"bias", false}});
    return graph();
  }

 private:
  void add(const std::string& type, const std::string& name, std::map<std::string, LayerField> fields = {},
           std::vector<std::string> from = {}) {
    layers_.push_back({type, name, std::move(from), std::move(fields)});
  }
  std::string last() const { return layers_.back().name; }
  Graph graph() { return {ValueShape{{shape_.positions}, 1, false}, std::move(layers_)}; }

  /// x + attention(norm(x)), and of that y: y + dense(gelu(dense(norm(y)))).
  void block(const std::string& path) {
    const std::string input = last();
    add("layer_norm", path + "norm1");
    add("linear", path + "self_attn.in_proj",
        {{"out", Sizes{3 * shape_.width}},
         {"weight", path + "self_attn.in_proj_weight"},
         {"bias", path + "self_attn.in_proj_bias"}});
    add("attention", path + "self_attn", {{"heads", Sizes{shape_.heads}}, {"causal", shape_.causal}});
    add("linear", path + "self_attn.out_proj", {{"out", Sizes{shape_.width}}});
    add("add", path + "add1", {}, {last(), input});
    add("layer_norm", path + "norm2");
    add("linear", path + "linear1", {{"out", Sizes{4 * shape_.width}}});
    add("gelu", path + "activation");
    add("linear", path + "linear2", {{"out", Sizes{shape_.width}}});
    add("add", path + "add2", {}, {last(), path + "add1"});
  }

  Shape shape_;
  std::vector<LayerDescription> layers_;
};

}  // namespace

Graph transformer_tiny() {
  return Transformer({64, 1024, 128, 4, 4, false}).classify(10);
}

Graph transformer_small() {
  return Transformer({128, 16384, 512, 8, 5, true}).predict();
}

}  // namespace fisherdiag
