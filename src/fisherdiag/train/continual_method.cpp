#include "fisherdiag/train/continual_method.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag {

namespace {

constexpr std::array<std::pair<std::string_view, ContinualKind>, 6> kKinds = {
    {{"none", ContinualKind::None},
     {"joint", ContinualKind::Joint},
     {"l2", ContinualKind::L2},
     {"ewc-separate", ContinualKind::EwcSeparate},
     {"ewc-merged", ContinualKind::EwcMerged},
     {"ewc-online", ContinualKind::EwcOnline}}};

constexpr std::size_t kMostNumber = std::size_t{1} << 40;

std::size_t positive(const std::string& whole, std::string_view digits, const char* what) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || stop != digits.data() + digits.size() || value < 1 || value > kMostNumber)
    throw ArgumentError("'" + std::string(digits) + "' in '" + whole + "' is not a number of " + what +
                        ", a whole number from 1 on");
  return value;
}

}  // namespace

FisherChoice FisherChoice::parse(const std::string& text) {
  FisherChoice choice;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    choice.subset = positive(text, rest.substr(at + 1), "samples");
    rest = rest.substr(0, at);
  }
  const std::size_t equals = rest.find('=');
  const auto kind = estimator_from_name(rest.substr(0, equals));
  if (!kind)
    throw ArgumentError("estimator '" + std::string(rest.substr(0, equals)) +
                        "' is unknown; there are empirical, exact, mc, sketch, predicted and batched");
  choice.kind = *kind;
  if (equals == std::string_view::npos) return choice;
  const std::string_view number = rest.substr(equals + 1);
  if (*kind == EstimatorKind::MonteCarlo || *kind == EstimatorKind::Sketch)
    choice.draws = positive(text, number, "draws");
  else if (*kind == EstimatorKind::Batched)
    choice.batch_size = positive(text, number, "samples in a batch");
  else
    throw ArgumentError("estimator '" + std::string(estimator_name(*kind)) +
                        "' takes no number: only mc, sketch (draws) and batched (batch size) do; "
                        "write @SAMPLES for a subset");
  return choice;
}

std::string FisherChoice::name() const {
  const FisherChoice standard;
  std::string text(estimator_name(kind));
  if ((kind == EstimatorKind::MonteCarlo || kind == EstimatorKind::Sketch) && draws != standard.draws)
    text += "=" + std::to_string(draws);
  if (kind == EstimatorKind::Batched && batch_size != standard.batch_size)
    text += "=" + std::to_string(batch_size);
  return subset ? text + "@" + std::to_string(*subset) : text;
}

ContinualMethod ContinualMethod::parse(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string word = text.substr(0, colon);
  for (const auto& [name, kind] : kKinds) {
    if (word != name) continue;
    ContinualMethod method{kind, {}};
    if (colon == std::string::npos) return method;
    if (!method.uses_fisher())
      throw ArgumentError("method '" + word + "' uses no Fisher diagonal; '" + text + "' names one");
    method.fisher = FisherChoice::parse(text.substr(colon + 1));
    return method;
  }
  throw ArgumentError("method '" + text +
                      "' is unknown; there are none, joint, l2, and ewc-separate, ewc-merged, ewc-online "
                      "with an estimator, as in ewc-online:exact");
}

std::string ContinualMethod::kind_name() const {
  for (const auto& [name, named] : kKinds)
    if (named == kind) return std::string(name);
  return "none";
}

std::string ContinualMethod::name() const {
  return uses_fisher() ? kind_name() + ":" + fisher.name() : kind_name();
}

PenaltyForm ContinualMethod::form() const {
  if (kind == ContinualKind::EwcSeparate) return PenaltyForm::Separate;
  return kind == ContinualKind::EwcMerged ? PenaltyForm::Merged : PenaltyForm::Online;
}

LambdaTranslation LambdaTranslation::parse(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos)
    throw ArgumentError("'" + text + "' is no estimator with its lambda, such as exact:1e5");
  return {FisherChoice::parse(text.substr(0, colon)), parse_lambda(text.substr(colon + 1))};
}

std::string LambdaTranslation::name() const {
  return reference.name() + ":" + lambda_name(lambda);
}

double parse_lambda(const std::string& text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const double most = std::numeric_limits<float>::max();
  if (error != std::errc() || stop != text.data() + text.size() || !(value >= 0 && value <= most))
    throw ArgumentError("lambda '" + text + "' is not a finite number >= 0");
  return value;
}

std::string lambda_name(double lambda) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), lambda).ptr;
  return {text.data(), end};
}

}  // namespace fisherdiag
