#include "fisherdiag/train/continual_method.hpp"

#include "fisherdiag/base/error.hpp"
#include "support/catch.hpp"

using namespace fisherdiag;
using fisherdiag::testing::contains;

TEST_CASE("methods read back what they are called") {
  for (const std::string name : {"none", "joint", "l2", "ewc-separate:exact", "ewc-merged:empirical",
                                 "ewc-online:exact@500", "ewc-online:mc=4@1000", "ewc-online:mc",
                                 "ewc-online:sketch", "ewc-online:batched=64", "ewc-online:predicted"})
    REQUIRE(ContinualMethod::parse(name).name() == name);
  REQUIRE(ContinualMethod::parse("ewc-merged").name() == "ewc-merged:exact");
  REQUIRE(ContinualMethod::parse("ewc-online:mc=1").name() == "ewc-online:mc");
  REQUIRE(ContinualMethod::parse("ewc-online:batched=128").name() == "ewc-online:batched");
}

TEST_CASE("methods say what they are made of") {
  const ContinualMethod method = ContinualMethod::parse("ewc-separate:sketch=3@700");
  REQUIRE(method.kind == ContinualKind::EwcSeparate);
  REQUIRE(method.kind_name() == "ewc-separate");
  REQUIRE(method.form() == PenaltyForm::Separate);
  REQUIRE(method.fisher.kind == EstimatorKind::Sketch);
  REQUIRE(method.fisher.draws == 3);
  REQUIRE(method.fisher.subset == 700);
  REQUIRE(ContinualMethod::parse("ewc-merged").form() == PenaltyForm::Merged);
  REQUIRE(ContinualMethod::parse("l2").form() == PenaltyForm::Online);
  REQUIRE(ContinualMethod::parse("l2").has_penalty());
  REQUIRE_FALSE(ContinualMethod::parse("l2").uses_fisher());
  REQUIRE_FALSE(ContinualMethod::parse("joint").has_penalty());
}

TEST_CASE("a method that cannot be meant is refused with the word that is wrong") {
  for (const std::string text : {"ewc", "", "ewc-online:fisher", "none:exact", "l2:exact", "ewc-online:",
                                 "ewc-online:exact@0", "ewc-online:exact@", "ewc-online:exact@5x",
                                 "ewc-online:exact=5", "ewc-online:mc=0", "ewc-online:mc=-1"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(ContinualMethod::parse(text), ArgumentError);
  }
  REQUIRE_THROWS_WITH(ContinualMethod::parse("ewc-online:fisher"), contains("fisher"));
  REQUIRE_THROWS_WITH(ContinualMethod::parse("ewc-online:exact@5x"), contains("'5x'"));
}

TEST_CASE("lambdas and their translation") {
  REQUIRE(parse_lambda("1e5") == 1e5);
  REQUIRE(parse_lambda("0") == 0);
  for (const std::string text : {"-1", "", "nan", "inf", "1e39", "3 ", "x"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(parse_lambda(text), ArgumentError);
  }
  REQUIRE(parse_lambda(lambda_name(0.1)) == 0.1);
  const LambdaTranslation translation = LambdaTranslation::parse("exact@500:1e5");
  REQUIRE(translation.reference.subset == 500);
  REQUIRE(translation.lambda == 1e5);
  REQUIRE(LambdaTranslation::parse(translation.name()).name() == translation.name());
  for (const std::string text : {"exact", "exact:", "1e5", "exact:-1", "fisher:1"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(LambdaTranslation::parse(text), ArgumentError);
  }
}
