#include "fisherdiag/fisher/memory.hpp"

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/fisher/pass.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"

using namespace fisherdiag;

namespace {

constexpr std::size_t kSamples = 100000;

FisherOptions bounded(std::size_t bytes, std::size_t in_use = 0) {
  FisherOptions options;
  options.max_memory_bytes = bytes;
  options.memory_in_use = in_use;
  return options;
}

}  // namespace

TEST_CASE("a bound gets the largest block that fits") {
  const Architecture architecture = Architecture::parse("mlp:784-256-256-10");
  const Context context(2);
  const std::size_t most = choose_block_rows(architecture, {}, kSamples, context);
  const std::size_t chain = pass_chain_rows(architecture, {}, context);
  const auto bytes = [&](std::size_t rows) {
    return fisher_memory(architecture, {}, kSamples, rows, context);
  };
  for (std::size_t rows = chain; rows <= most; rows += chain) {
    CHECK(choose_block_rows(architecture, bounded(bytes(rows)), kSamples, context) == rows);
    CHECK(choose_block_rows(architecture, bounded(bytes(rows) + 1000, 1000), kSamples, context) == rows);
  }
  CHECK(choose_block_rows(architecture, bounded(bytes(most) * 10), kSamples, context) == most);
}

TEST_CASE("a bound below the smallest block is refused with the figure that is needed") {
  const Architecture architecture = Architecture::parse("mlp:784-256-256-10");
  const Context context(1);
  FisherOptions alone;
  alone.read_ahead = false;
  const std::size_t least =
      fisher_memory(architecture, alone, kSamples, pass_chain_rows(architecture, {}, context), context);
  const std::string message = test::message_of<ArgumentError>(
      [&] { choose_block_rows(architecture, bounded(least - 1), kSamples, context); });
  const std::size_t mebibytes = (least + (1 << 20) - 1) >> 20;
  CHECK(test::contains(message, "at least " + std::to_string(mebibytes) + " MiB"));
  CHECK_NOTHROW(choose_block_rows(architecture, bounded(mebibytes << 20), kSamples, context));
}

TEST_CASE("memory grows with what is allocated") {
  const Context context(1);
  const Architecture small = Architecture::parse("mlp:100-50-10"),
                     large = Architecture::parse("mlp:100-5000-10");
  FisherOptions options;
  CHECK(fisher_memory(large, options, kSamples, 512, context) >
        fisher_memory(small, options, kSamples, 512, context) + 12 * large.parameter_count());
  const std::size_t categorical = fisher_memory(small, options, kSamples, 512, context);
  FisherOptions with_errors;
  with_errors.standard_error = true;
  CHECK(fisher_memory(large, with_errors, kSamples, 512, context) >=
        fisher_memory(large, options, kSamples, 512, context) + 8 * large.parameter_count());
  options.likelihood = Likelihood::Gaussian;
  // Nine more targets for each of 512 rows.
  CHECK(fisher_memory(small, options, kSamples, 512, context) >= categorical + 512 * 9 * sizeof(float));
  // From 32 seeds on a group has 8 rows; every further draw of each is kept.
  options.estimator = {EstimatorKind::MonteCarlo, 32};
  const std::size_t few_draws = fisher_memory(small, options, kSamples, 512, context);
  options.estimator = {EstimatorKind::MonteCarlo, 1000};
  CHECK(fisher_memory(small, options, kSamples, 512, context) > few_draws + (1000 - 32) * 8 * sizeof(float));
}

TEST_CASE("a second block is counted where there is one, and done without where a bound asks") {
  const Architecture architecture = Architecture::parse("mlp:784-256-256-10");
  const Context context(1);
  const std::size_t block = 512 * (784 + 1) * sizeof(float);
  FisherOptions alone;
  alone.read_ahead = false;
  const std::size_t with_one = fisher_memory(architecture, alone, kSamples, 512, context);
  const std::size_t with_two = fisher_memory(architecture, {}, kSamples, 512, context);
  CHECK(with_two >= with_one + block);
  CHECK(with_two <= with_one + block + 512 * sizeof(std::uint64_t) + 1024);
  CHECK(fisher_memory(architecture, {}, 512, 512, context) ==
        fisher_memory(architecture, alone, 512, 512, context));
  CHECK(reads_ahead(architecture, bounded(with_two), kSamples, 512, context));
  CHECK_FALSE(reads_ahead(architecture, bounded(with_two - 1), kSamples, 512, context));
  CHECK(fisher_memory(architecture, bounded(with_two - 1), kSamples, 512, context) == with_one);
}
