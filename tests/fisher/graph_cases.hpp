// The networks that the tests of passes over graphs go through: one for each kind of layer, and what is made
// of them.
#pragma once

#include <string>
#include <vector>

#include "fisher/fisher_fixture.hpp"

namespace test {

struct GraphCase {
  std::string name, json;
};

inline constexpr const char* kGraphHead =
    R"({"type": "flatten"}, {"type": "linear", "name": "head", "out": 3})";

inline std::string graph(const std::string& input, const std::string& layers) {
  return "{\"input\": " + input + ", \"layers\": [" + layers + "]}";
}

inline std::string sequence(const std::string& shape, const std::string& layers) {
  return "{\"sequence\": " + shape + ", \"layers\": [" + layers + "]}";
}

/// One network for each kind of layer of images, small enough for the reference.
inline const std::vector<GraphCase>& image_cases() {
  static const std::vector<GraphCase> all{
      {"conv2d", graph("[2, 7, 6]", std::string(R"({"type": "conv2d", "name": "c1", "out": 5, "kernel": 3},
          {"type": "relu"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": [2, 3], "padding": 1}, {"type": "tanh"},)") +
                                        kGraphHead)},
      {"strides and dilation",
       graph(
           "[3, 9, 8]",
           std::string(R"({"type": "conv2d", "name": "c1", "out": 20, "kernel": 3, "stride": 2, "padding": 1},
          {"type": "gelu"}, {"type": "conv2d", "name": "c2", "out": 17, "kernel": 2, "dilation": 2, "bias": false},
          {"type": "silu"},)") +
               kGraphHead)},
      {"groups",
       graph("[4, 6, 6]", std::string(R"({"type": "conv2d", "name": "c1", "out": 6, "kernel": 3, "groups": 2},
          {"type": "sigmoid"}, {"type": "conv2d", "name": "depthwise", "out": 12, "kernel": 2, "groups": 6},
          {"type": "relu6"},)") +
                              kGraphHead)},
      {"wide groups",
       graph("[32, 4, 4]", std::string(R"({"type": "conv2d", "name": "c1", "out": 32, "kernel": 2,
          "groups": 2, "padding": 1}, {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 2,
          "groups": 2},)") + kGraphHead)},
      {"transposed",
       graph("[3, 4, 3]", std::string(R"({"type": "conv2d", "name": "c1", "out": 4, "kernel": 1},
          {"type": "conv_transpose2d", "name": "up", "out": 6, "kernel": 3, "stride": 2, "padding": 1,
          "output_padding": 1, "groups": 2}, {"type": "tanh"},)") +
                              kGraphHead)},
      {"conv1d", graph("[2, 20]", std::string(
                                      R"({"type": "conv1d", "name": "c1", "out": 4, "kernel": 5, "stride": 2},
          {"type": "relu"},)") + kGraphHead)},
      {"sequence",
       R"({"sequence": [5, 6], "layers": [{"type": "linear", "name": "a", "out": 7}, {"type": "gelu"},
          {"type": "linear", "name": "b", "out": 4}, {"type": "tanh"}, {"type": "flatten"},
          {"type": "linear", "name": "head", "out": 3}]})"},
      {"tied convolutions",
       graph("[4, 6, 5]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 4, "kernel": 3, "padding": 1},
          {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 3, "padding": 1, "weight": "c1.weight",
          "bias": "c1.bias"}, {"type": "tanh"},)") +
                 kGraphHead)},
      {"max pooling",
       graph("[3, 9, 8]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 17, "kernel": 3, "padding": 1},
          {"type": "max_pool2d", "kernel": 2}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 2},
          {"type": "max_pool2d", "kernel": 3, "stride": [1, 2], "padding": 1, "dilation": 1},)") +
                 kGraphHead)},
      {"mean pooling",
       graph("[3, 9, 8]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 5, "kernel": 3, "padding": 1},
          {"type": "avg_pool2d", "kernel": 3, "stride": 2, "padding": 1}, {"type": "tanh"},
          {"type": "avg_pool2d", "kernel": [2, 3], "padding": 1, "count_include_pad": false},
          {"type": "conv2d", "name": "c2", "out": 4, "kernel": 1}, {"type": "adaptive_avg_pool2d", "out": [2, 1]},)") +
                 kGraphHead)},
      {"pooling of signals",
       graph("[2, 23]", std::string(R"({"type": "conv1d", "name": "c1", "out": 4, "kernel": 3},
          {"type": "max_pool1d", "kernel": 3, "dilation": 2, "stride": 1}, {"type": "avg_pool1d", "kernel": 2},
          {"type": "conv1d", "name": "c2", "out": 3, "kernel": 1}, {"type": "adaptive_avg_pool1d", "out": 5},)") +
                            kGraphHead)},
      {"residual blocks",
       graph("[3, 6, 5]",
             std::string(R"({"type": "conv2d", "name": "stem", "out": 4, "kernel": 3, "padding": 1},
          {"type": "relu", "name": "r"}, {"type": "conv2d", "name": "c1", "out": 4, "kernel": 3, "padding": 1},
          {"type": "tanh"}, {"type": "conv2d", "name": "c2", "out": 4, "kernel": 3, "padding": 1},
          {"type": "add", "name": "sum", "from": ["c2", "r"]}, {"type": "dropout", "p": 0.5},
          {"type": "conv2d", "name": "c3", "out": 6, "kernel": 3, "stride": 2, "padding": 1, "from": "sum"},
          {"type": "conv2d", "name": "short", "out": 6, "kernel": 1, "stride": 2, "from": "sum"},
          {"type": "add", "from": ["c3", "short"]}, {"type": "adaptive_avg_pool2d", "out": 1},)") +
                 kGraphHead)},
      {"batch norm",
       graph("[3, 5, 4]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 18, "kernel": 3, "padding": 1},
          {"type": "batch_norm", "name": "bn1"}, {"type": "relu", "name": "r"},
          {"type": "conv2d", "name": "c2", "out": 18, "kernel": 1, "bias": false},
          {"type": "batch_norm", "name": "bn2", "eps": 0.01}, {"type": "add", "from": ["bn2", "r"]},
          {"type": "batch_norm", "name": "bn3", "affine": false}, {"type": "tanh"},
          {"type": "batch_norm", "name": "bn4", "weight": "bn1.weight", "bias": "bn1.bias"},)") +
                 kGraphHead)},
      {"batch norm with what follows it",
       graph("[3, 5, 4]",
             std::string(R"({"type": "conv2d", "name": "c1", "out": 18, "kernel": 3, "padding": 1},
          {"type": "batch_norm", "name": "bn1"}, {"type": "relu", "name": "r1"},
          {"type": "conv2d", "name": "c2", "out": 18, "kernel": 3, "padding": 1, "bias": false},
          {"type": "batch_norm", "name": "bn2"}, {"type": "add", "from": ["r1", "bn2"]}, {"type": "relu", "name": "r2"},
          {"type": "conv2d", "name": "c3", "out": 20, "kernel": 3, "stride": 2, "padding": 1},
          {"type": "batch_norm", "name": "bn3"},
          {"type": "conv2d", "name": "short", "out": 20, "kernel": 1, "stride": 2, "from": "r2"},
          {"type": "batch_norm", "name": "bn4"}, {"type": "add", "name": "sum", "from": ["bn3", "bn4"]},
          {"type": "batch_norm", "name": "bn5", "affine": false}, {"type": "add", "name": "twice", "from": ["bn5", "sum"]},
          {"type": "conv2d", "name": "c4", "out": 5, "kernel": 2},)") +
                 kGraphHead)},
      {"group norm", graph("[4, 5, 4]", std::string(R"({"type": "group_norm", "name": "g0", "groups": 2},
          {"type": "conv2d", "name": "c1", "out": 20, "kernel": 3, "padding": 1},
          {"type": "group_norm", "name": "g1", "groups": 5}, {"type": "tanh", "name": "t"},
          {"type": "group_norm", "name": "g2", "groups": 1, "affine": false},
          {"type": "add", "from": ["g2", "t"]},)") +
                                            kGraphHead)},
      {"norms of sequences",
       R"({"sequence": [5, 6], "layers": [{"type": "linear", "name": "a", "out": 8},
          {"type": "batch_norm", "name": "bn"}, {"type": "group_norm", "name": "gn", "groups": 2},
          {"type": "flatten"}, {"type": "linear", "name": "head", "out": 3}]})"},
      {"tied linear layers", graph("[6]", R"({"type": "linear", "name": "a", "out": 6}, {"type": "tanh"},
          {"type": "linear", "name": "b", "out": 6, "weight": "a.weight"}, {"type": "tanh"},
          {"type": "linear", "name": "head", "out": 3})")},
  };
  return all;
}

/// Networks of sequences with one output, three wide, small enough for the reference.
inline const std::vector<GraphCase>& sequence_cases() {
  static const std::vector<GraphCase> all{
      {"layer norm", sequence("[4, 5]", std::string(R"({"type": "linear", "name": "a", "out": 19},
          {"type": "layer_norm", "name": "norm1"}, {"type": "tanh"}, {"type": "linear", "name": "b", "out": 6},
          {"type": "layer_norm", "name": "norm2", "bias": false, "eps": 0.01},)") +
                                            kGraphHead)},
      {"layer norm of a vector", R"({"input": [6], "layers": [{"type": "linear", "name": "a", "out": 9},
          {"type": "layer_norm", "name": "norm1"}, {"type": "gelu"}, {"type": "layer_norm", "affine": false},
          {"type": "linear", "name": "head", "out": 3}]})"},
      {"rms norm", sequence("[3, 4]", std::string(R"({"type": "linear", "name": "a", "out": 18},
          {"type": "rms_norm", "name": "norm1"}, {"type": "silu"}, {"type": "linear", "name": "b", "out": 5},
          {"type": "rms_norm", "name": "norm2", "eps": 0.1},)") +
                                          kGraphHead)},
      {"tied norms", sequence("[3, 8]", std::string(R"({"type": "layer_norm", "name": "norm1"},
          {"type": "linear", "name": "a", "out": 8}, {"type": "layer_norm", "name": "norm2",
          "weight": "norm1.weight", "bias": "norm1.bias"},)") +
                                            kGraphHead)},
      // 9 positions for 6 tokens: some token comes twice in every sample.
      {"embedding", sequence("[9]", std::string(R"({"type": "embedding", "name": "table", "tokens": 6,
          "out": 19}, {"type": "tanh"},)") +
                                        kGraphHead)},
      {"wide embedding", sequence("[5]", std::string(R"({"type": "embedding", "name": "table", "tokens": 4,
          "out": 130, "padding_idx": 0}, {"type": "tanh"},)") +
                                             kGraphHead)},
      {"positions",
       sequence("[5]", std::string(R"({"type": "embedding", "name": "table", "tokens": 6, "out": 18},
          {"type": "positional_embedding", "name": "place"}, {"type": "layer_norm", "name": "norm"},
          {"type": "linear", "name": "a", "out": 4}, {"type": "gelu"},)") +
                           kGraphHead)},
      {"longer tables",
       sequence("[4]", std::string(R"({"type": "embedding", "name": "table", "tokens": 5, "out": 6},
          {"type": "positional_embedding", "name": "place", "length": 7}, {"type": "tanh"},)") +
                           kGraphHead)},
      {"two embeddings of one table", sequence("[4]",
                                               std::string(R"({"type": "embedding", "name": "e1", "tokens": 5,
          "out": 6}, {"type": "tanh"}, {"type": "embedding", "name": "e2", "from": "input", "tokens": 5, "out": 6,
          "weight": "e1.weight"},)") + kGraphHead)},
      {"packed attention",
       sequence("[6, 4]", std::string(R"({"type": "linear", "name": "attn.in_proj", "out": 30,
          "weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"}, {"type": "attention", "heads": 2},
          {"type": "linear", "name": "attn.out_proj", "out": 4},)") +
                              kGraphHead)},
      // No bias of the keys: it moves all of a query's products alike, so that its gradient is zero.
      {"causal attention of whole vectors", sequence("[7, 4]", std::string(R"(
          {"type": "linear", "name": "q", "out": 32, "from": "input"},
          {"type": "linear", "name": "k", "out": 32, "bias": false, "from": "input"},
          {"type": "linear", "name": "v", "out": 32, "from": "input"},
          {"type": "attention", "heads": 2, "causal": true, "from": ["q", "k", "v"]},)") +
                                                                   kGraphHead)},
      {"attention to itself", sequence("[5, 6]", std::string(R"({"type": "linear", "name": "a", "out": 6},
          {"type": "attention", "name": "attend", "from": ["a", "a", "a"], "heads": 3},
          {"type": "add", "from": ["a", "attend"]},)") +
                                                     kGraphHead)},
      // One sample of the four tokens in five at least has padding.
      {"padding",
       sequence("[5]", R"({"type": "embedding", "name": "table", "tokens": 4, "out": 6, "padding_idx": 0},
          {"type": "linear", "name": "in_proj", "out": 18}, {"type": "attention", "heads": 1, "padding_idx": 0,
          "from": ["in_proj", "input"]}, {"type": "linear", "name": "a", "out": 5},
          {"type": "sequence_mean", "padding_idx": 0, "from": ["a", "input"]},
          {"type": "linear", "name": "head", "out": 3})")},
      {"a block of a transformer",
       sequence("[6]", R"({"type": "embedding", "name": "table", "tokens": 7, "out": 8},
          {"type": "positional_embedding", "name": "place"}, {"type": "layer_norm", "name": "norm1"},
          {"type": "linear", "name": "in_proj", "out": 24}, {"type": "attention", "heads": 2, "causal": true},
          {"type": "linear", "name": "out_proj", "out": 8}, {"type": "add", "name": "mid", "from": ["out_proj", "place"]},
          {"type": "layer_norm", "name": "norm2"}, {"type": "linear", "name": "linear1", "out": 12}, {"type": "gelu"},
          {"type": "linear", "name": "linear2", "out": 8}, {"type": "add", "from": ["linear2", "mid"]},
          {"type": "sequence_mean"}, {"type": "linear", "name": "head", "out": 3})")},
  };
  return all;
}

inline std::vector<GraphCase> all_cases() {
  std::vector<GraphCase> all = image_cases();
  all.insert(all.end(), sequence_cases().begin(), sequence_cases().end());
  return all;
}

inline const std::vector<fisherdiag::EstimatorKind> kAllKinds{
    fisherdiag::EstimatorKind::Empirical,  fisherdiag::EstimatorKind::Exact,
    fisherdiag::EstimatorKind::MonteCarlo, fisherdiag::EstimatorKind::Sketch,
    fisherdiag::EstimatorKind::Predicted,  fisherdiag::EstimatorKind::Batched};

/// Two draws, batches of three.
inline fisherdiag::Estimator estimator_of(fisherdiag::EstimatorKind kind) {
  fisherdiag::Estimator estimator{kind};
  estimator.draws = 2;
  estimator.batch_size = 3;
  return estimator;
}

}  // namespace test
