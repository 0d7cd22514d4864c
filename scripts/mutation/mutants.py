"""Bugs to plant: one edit each, and the test programs that ought to notice, the likeliest first."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str  # under src/fisherdiag
    old: str   # occurs there exactly once
    new: str
    tests: tuple


KERNELS = ("kernels", "fisher")
LIKELIHOOD = ("likelihood", "fisher")
IO = ("io",)
FISHER = ("fisher",)
EWC = ("ewc", "train")
TRAIN = ("train",)

MUTANTS = (
    # Kernels.
    Mutant("to_strips forgets the last column of a tail", "kernels/impl/strips.cpp",
           "for (std::size_t i = 0; i < n; ++i) part[i] = source[i];",
           "for (std::size_t i = 0; i + 1 < n; ++i) part[i] = source[i];", KERNELS),
    Mutant("to_strips keeps the value where its square belongs", "kernels/impl/strips.cpp",
           "r * kLanes, v * v);", "r * kLanes, v);", KERNELS),
    Mutant("from_strips drops a column of a tail", "kernels/impl/strips.cpp",
           "for (std::size_t i = 0; i < n; ++i) target[r * stride + column + i] = from[i];",
           "for (std::size_t i = 0; i + (n < kLanes) < n; ++i) target[r * stride + column + i] = from[i];", KERNELS),
    Mutant("squared_outer overwrites instead of adding", "kernels/impl/outer_finish.hpp",
           "target[i] += static_cast<double>(sum[i]);", "target[i] = static_cast<double>(sum[i]);", KERNELS),
    Mutant("outer forgets its scale", "kernels/impl/outer_finish.hpp",
           "target[i] = scale * sum[i];", "target[i] = sum[i];", KERNELS),
    Mutant("gram_squared misses a sample's last position", "kernels/impl/gram.cpp",
           "right.data + kLanes, right.stride, positions - 1);",
           "right.data + kLanes, right.stride, positions - (positions > 1 ? 2 : 1));", KERNELS),
    Mutant("gram_squared does not weight its samples", "kernels/impl/gram.cpp",
           "const Vec weight(g.weights ? g.weights[n] : 1.f);", "const Vec weight(1.f);", KERNELS),
    Mutant("gram_squared starts the next piece of samples at zero", "kernels/impl/gram.cpp",
           "n == begin, sums, traces);", "true, sums, traces);", KERNELS),
    Mutant("softmax sums a long row without its tail", "kernels/impl/softmax.cpp",
           "    sum += static_cast<double>(horizontal_sum(e));\n", "", KERNELS),
    Mutant("softmax does not subtract the largest logit of a short row", "kernels/impl/softmax.cpp",
           "const float max = horizontal_max(values);", "const float max = 0;", KERNELS),
    Mutant("penalty does not square the distance", "kernels/impl/penalty.cpp",
           "return multiply_add(access.load(fisher + i) * distance, distance, partial);",
           "return multiply_add(access.load(fisher + i), distance, partial);", ("kernels", "ewc")),
    Mutant("penalty gradient without lambda", "kernels/impl/penalty.cpp",
           "  const Vec scale(lambda);\n  for (", "  const Vec scale(lambda > 0 ? 1.0f : lambda);\n  for (",
           ("kernels", "ewc")),
    Mutant("Adam's second moment misses a square", "kernels/impl/elementwise.cpp",
           "rest2 * (g * g)", "rest2 * g", ("kernels", "train")),
    Mutant("momentum is forgotten", "kernels/impl/elementwise.cpp",
           "step = multiply_add(momentum, access.load(a.velocity + i), step);",
           "step = multiply_add(Vec(0.0f) * momentum, access.load(a.velocity + i), step);", ("kernels", "train")),
    Mutant("column sums stop one row early", "kernels/impl/elementwise.cpp",
           "for (std::size_t r = begin; r < end; ++r)\n    for", "for (std::size_t r = begin; r + 1 < end; ++r)\n    for",
           KERNELS),
    # Seeds.
    Mutant("empirical residual computed as p - 1", "likelihood/categorical.cpp",
           "seed[label] = -scale * sum_of_others(p, outputs(), label);", "seed[label] = scale * (p[label] - 1.0f);",
           LIKELIHOOD),
    Mutant("draws come from the stream of the row in the block, not of the sample", "likelihood/seed_sources.cpp",
           "random_stream::kMonteCarlo, samples[first]);", "random_stream::kMonteCarlo, first);", LIKELIHOOD),
    Mutant("mc seeds are divided by the draws, not by their root", "likelihood/seed_sources.cpp",
           "1.0 / std::sqrt(static_cast<double>(estimator_.draws)));\n    const std::size_t plane",
           "1.0 / static_cast<double>(estimator_.draws));\n    const std::size_t plane", LIKELIHOOD),
    Mutant("the exact factor's rows below the diagonal have the wrong sign", "likelihood/categorical.cpp",
           "seed[i] = -ratio * p[i];", "seed[i] = ratio * p[i];", LIKELIHOOD),
    Mutant("sketch ignores the seed", "likelihood/seed_sources.cpp",
           "RandomStream random(estimator_.seed, random_stream::kSketch, samples[first]);",
           "RandomStream random(1, random_stream::kSketch, samples[first]);", LIKELIHOOD),
    Mutant("predicted takes the least probable class", "likelihood/categorical.cpp",
           "std::max_element(row(r), row(r) + outputs()) - row(r)", "std::min_element(row(r), row(r) + outputs()) - row(r)",
           LIKELIHOOD),
    Mutant("a uniform number has only 32 bits", "base/philox.cpp",
           "return static_cast<double>((high << 26) | low) * 0x1p-53;",
           "return static_cast<double>((high << 26) | (low & 0)) * 0x1p-53;", ("base", "likelihood")),
    # The pass.
    Mutant("importance weights are dropped", "fisher/block_pass.cpp",
           "  weights_ = weights;\n", "  weights_ = weights.first(0);\n", FISHER),
    Mutant("the bias column of a tile is not added", "fisher/block_pass.cpp",
           "if (tile.range.strip_begin == 0) add_bias(tile, left, 0);", "if (tile.range.strip_begin == 1) add_bias(tile, left, 0);",
           FISHER),
    Mutant("batched is not squared by the batch", "fisher/block_pass.cpp",
           "const auto weight = static_cast<float>(mean * mean);", "const auto weight = static_cast<float>(mean);",
           FISHER),
    Mutant("mean is divided by one sample too few", "fisher/sampling.cpp",
           "return sum_scale() / static_cast<double>(weighted() && !whole_ ? population_ : used_);",
           "return sum_scale() / static_cast<double>(weighted() && !whole_ ? population_ : used_ - (used_ > 1));", FISHER),
    Mutant("an infinite F is let through", "fisher/normalize.cpp",
           "if (!(value <= std::numeric_limits<float>::max()))", "if (value < 0)", FISHER),
    Mutant("standard error without the finite population", "fisher/trace_error.cpp",
           "std::sqrt(variance / n * (1 - n / static_cast<double>(population_)))", "std::sqrt(variance / n)", FISHER),
    Mutant("a certain sample is drawn with its own probability", "fisher/importance.cpp",
           "if (value < 1 && c * value >= 1) {", "if (value < 0 && c * value >= 1) {", FISHER),
    # Long jobs.
    Mutant("a checkpoint does not know its seed", "fisher/fingerprint.cpp",
           '      {"seed", std::to_string(estimator.seed)},\n', "", FISHER),
    Mutant("a checkpoint does not know its data", "fisher/fingerprint.cpp",
           "compare(kDataKey, data->second);", "compare(kDataKey, found.at(kDataKey));", FISHER),
    Mutant("a damaged checkpoint is believed", "fisher/sum_file.cpp",
           "if (digest_of_sums(result.metadata, parts) != digest)",
           "if (digest_of_sums(result.metadata, parts).size() != digest.size())", FISHER),
    Mutant("a resumed pass forgets the sum of the sections before", "fisher/sections.cpp",
           "  total_ = std::move(total);\n", "  static_cast<void>(total);\n", FISHER),
    Mutant("a resumed pass goes on one sample late", "fisher/fisher_run.cpp",
           "  round_done_ = state.done;\n", "  round_done_ = state.done + (state.done < round.count);\n", FISHER),
    Mutant("shards are merged in the order they are named", "fisher/shard.cpp",
           "  std::ranges::stable_sort(headers, {}, [](const Header& header) { return header.place.index; });\n", "", FISHER),
    Mutant("merge does not weight means by their samples", "fisher/merge.cpp",
           "weight = divisor(part.metadata());", "weight = 1 + 0 * divisor(part.metadata());", FISHER),
    # Files.
    Mutant("a writer does not sync", "io/atomic_file.cpp",
           "return ::fsync(descriptor) == 0;", "return descriptor >= 0;", ("io", "cli/soak_test.py")),
    Mutant("an old file may be tidied away before its folder is synced", "io/atomic_file.cpp",
           "  const SharedLock old_file(path_);\n", "", IO),
    Mutant("a writer writes in place", "io/atomic_file.cpp",
           "temporary_ = temporary_name(path_);\n    descriptor_ = open_retrying(temporary_, O_WRONLY | O_CREAT | O_EXCL,",
           "temporary_ = temporary_name(path_);\n"
           "    ::close(open_retrying(path_, O_WRONLY | O_TRUNC));\n"
           "    descriptor_ = open_retrying(temporary_, O_WRONLY | O_CREAT | O_EXCL,", ("io", "cli/soak_test.py")),
    Mutant("a hole between tensors is let through", "io/safetensors_header.cpp",
           "if (tensor.begin != expected)", "if (tensor.begin < expected)", IO),
    Mutant("trailing bytes after the last tensor are let through", "io/safetensors_header.cpp",
           "if (expected < data_bytes)", "if (expected + 8 < data_bytes)", IO),
    Mutant("doubles are read one byte early", "io/safetensors.cpp",
           "shard.file.read_at(shard.data_offset + tensor.begin, std::as_writable_bytes(out));",
           "shard.file.read_at(shard.data_offset + tensor.begin - 1, std::as_writable_bytes(out));", ("io", "fisher")),
    Mutant("npy rows are taken for elements", "io/npy.cpp",
           "header.data_offset + first * state_->row_elements * width;", "header.data_offset + first * width;", IO),
    Mutant("npy takes big-endian numbers for little-endian ones", "io/npy_header.cpp",
           "order == '>' ? std::endian::big", "order == '>' ? std::endian::little", IO),
    Mutant("IDX pixels are divided by 256", "io/array_file.cpp", "kWhitePixel = 255.0f;",
           "kWhitePixel = 256.0f;", IO),
    Mutant("gzip content after the promised bytes is let through", "io/gzip.cpp",
           "if (inflate_some(extra) != 0)", "if (inflate_some(extra) > 1)", IO),
    Mutant("rows of a third file start at its first", "io/split_rows.cpp",
           "part_rows(part).read_rows(row - starts_[part],", "part_rows(part).read_rows(part > 1 ? 0 : row - starts_[part],",
           IO),
    # Penalty and training.
    Mutant("the penalty is not halved", "ewc/penalty.cpp",
           "term.fisher.data() + range.begin, range.size);\n    parts[chunk] = part;\n  });\n"
           "  double sum = constant_;\n  for (const double part : parts) sum += part;\n  return 0.5 * lambda_ * sum;",
           "term.fisher.data() + range.begin, range.size);\n    parts[chunk] = part;\n  });\n"
           "  double sum = constant_;\n  for (const double part : parts) sum += part;\n  return lambda_ * sum;", EWC),
    Mutant("online EWC forgets its decay", "ewc/penalty.cpp",
           "checked_sum(decay_ * static_cast<double>(old.fisher[i])", "checked_sum(static_cast<double>(old.fisher[i])", EWC),
    Mutant("merged anchors are not weighted by F", "ewc/penalty.cpp",
           "const double share = f > 0 ? f_new / f : 1;", "const double share = f > 0 ? 0.5 : 1;", EWC),
    Mutant("training names a sample by its row in the batch", "train/trainer.cpp",
           "    batch_gradient.name_rows(source.names(batch * batch_size, rows));\n", "", TRAIN),
    Mutant("Adam is not corrected for its start", "train/optimizer.cpp",
           "step.correction2_ = correction(options_.beta2);",
           "step.correction2_ = correction(options_.beta2) * 0 + 1;", TRAIN),
    Mutant("a training step leaves the last columns of a tile where they are", "train/batch_gradient.cpp",
           "{gradient + o * kTileColumns, columns});", "{gradient + o * kTileColumns, columns / 8 * 8});", TRAIN),
    Mutant("a head's labels are those of the whole", "train/output_heads.cpp",
           "parts[head_of_[label]].add(r, samples[r], position_[label]);",
           "parts[head_of_[label]].add(r, samples[r], std::min(label, heads_[head_of_[label]].size() - 1));", TRAIN),
    # Graphs.
    Mutant("the squares of a second seed replace those of the first", "nn/ops.cpp",
           "to[i] = (add ? to[i] : 0.f) + from[i] * from[i];", "to[i] = (add ? 0.f : 0.f) + from[i] * from[i];", FISHER),
    Mutant("a bias used at many positions gets the first sample's gradient only", "nn/ops.cpp",
           "rows_of(delta, n * positions, positions, kernels.lanes), false", "rows_of(delta, 0, positions, kernels.lanes), false",
           FISHER),
)
