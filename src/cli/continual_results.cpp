#include "cli/continual_results.hpp"

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/io/atomic_file.hpp"

namespace fisherdiag::cli {

namespace {

constexpr const char* kFormat = "fisherdiag continual";

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

template <class Value>
Json value_or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// "method" and "estimator", the parts of ContinualMethod::name().
Json method_to_json(const ContinualMethod& method) {
  return {{"method", method.kind_name()},
          {"estimator", method.uses_fisher() ? Json(method.fisher.name()) : Json(nullptr)}};
}

Json run_to_json(const RunKey& key, const ContinualResult& run) {
  const ContinualMethod method = ContinualMethod::parse(key.method);
  Json json = method_to_json(method);
  json["lambda"] = method.has_penalty() ? Json(run.lambda) : Json(nullptr);
  json["lambda_from"] = text_or_null(key.translation);
  json["seed"] = key.seed;
  json["average_accuracy"] = run.average_accuracy();
  json["validation_accuracy"] = run.validation.empty() ? Json(nullptr) : Json(run.average_validation());
  json["forgetting"] = run.forgetting();
  json["accuracy"] = run.accuracy;
  json["validation"] = run.validation;
  json["fisher_traces"] = run.traces;
  json["seconds_training"] = run.seconds_training;
  json["seconds_fisher"] = run.seconds_fisher;
  json["seconds_penalty"] = run.seconds_penalty;
  json["weights_sha256"] = run.weights_sha256;
  return json;
}

std::pair<RunKey, ContinualResult> run_from_json(const Json& json) {
  std::string name = json.at("method");
  if (!json.at("estimator").is_null()) name += ":" + json.at("estimator").get<std::string>();
  const ContinualMethod method = ContinualMethod::parse(name);
  ContinualResult run;
  RunKey key{method.name(), std::nullopt, "", json.at("seed")};
  if (method.has_penalty()) run.lambda = json.at("lambda");
  if (!json.at("lambda_from").is_null())
    key.translation = json.at("lambda_from");
  else if (method.has_penalty())
    key.lambda = run.lambda;
  json.at("accuracy").get_to(run.accuracy);
  json.at("validation").get_to(run.validation);
  json.at("fisher_traces").get_to(run.traces);
  json.at("seconds_training").get_to(run.seconds_training);
  json.at("seconds_fisher").get_to(run.seconds_fisher);
  json.at("seconds_penalty").get_to(run.seconds_penalty);
  json.at("weights_sha256").get_to(run.weights_sha256);
  return {std::move(key), std::move(run)};
}

Json summary_to_json(const StudySummary& summary) {
  Json json = method_to_json(summary.method);
  json["lambda"] = value_or_null(summary.lambda);
  json["lambda_from"] = text_or_null(summary.translation);
  json["selected"] = summary.selected;
  json["seeds"] = summary.seeds;
  json["average_accuracy"] = summary.average_accuracy;
  json["standard_error"] = value_or_null(summary.standard_error);
  json["validation_accuracy"] = value_or_null(summary.validation);
  json["forgetting"] = summary.forgetting;
  json["seconds_training"] = summary.seconds_training;
  json["seconds_fisher"] = summary.seconds_fisher;
  json["seconds_penalty"] = summary.seconds_penalty;
  return json;
}

Json plan_to_json(const StudyPlan& plan) {
  Json json = Json::object();
  json["methods"] = Json::array();
  for (const ContinualMethod& method : plan.methods) json["methods"].push_back(method.name());
  json["lambdas"] = plan.lambdas;
  json["lambda_from"] = text_or_null(plan.translation ? plan.translation->name() : "");
  json["seeds"] = plan.seeds;
  json["lambda_seeds"] = value_or_null(plan.lambda_seeds);
  json["select"] = plan.selection == Selection::Test ? "test" : "validation";
  return json;
}

}  // namespace

ContinualResults::ContinualResults(std::string path, Json settings)
    : path_(std::move(path)), settings_(std::move(settings)) {
  std::error_code ignored;
  if (!path_.empty() && std::filesystem::exists(path_, ignored)) load();
}

void ContinualResults::load() {
  std::ifstream file(path_);
  const std::string other = path_ + ": is not a results file of fisherdiag continual; it is left as it is";
  if (!file) throw IoError(path_ + ": cannot be read");
  const Json json = Json::parse(file, nullptr, false);
  if (!json.is_object() || json.value("format", "") != kFormat) throw DataError(other);
  try {
    const Json& found = json.at("settings");
    for (const auto& [key, value] : settings_.items())
      if (!found.contains(key) || found.at(key) != value)
        throw DataError(path_ + ": holds runs with another '" + key + "' (" +
                        (found.contains(key) ? found.at(key).dump() : "none") + ", not " + value.dump() +
                        "); give another file with -o");
    for (const Json& run : json.at("runs")) runs_.insert(run_from_json(run));
  } catch (const Json::exception&) {
    throw DataError(other);
  } catch (const ArgumentError&) {
    throw DataError(other);
  }
}

Json ContinualResults::to_json(const StudyPlan& plan) const {
  const std::vector<StudySummary> summaries = summarize(plan, runs_);
  Json json = Json::object();
  json["format"] = kFormat;
  json["version"] = version();
  json["settings"] = settings_;
  json["plan"] = plan_to_json(plan);
  json["complete"] = missing_runs(plan, runs_).empty();
  json["summary"] = Json::array();
  for (const StudySummary& summary : summaries) json["summary"].push_back(summary_to_json(summary));
  json["translations"] = translations(summaries);
  json["runs"] = Json::array();
  for (const auto& [key, run] : runs_) json["runs"].push_back(run_to_json(key, run));
  return json;
}

void ContinualResults::save(const StudyPlan& plan) const {
  if (path_.empty()) return;
  AtomicFile file(path_);
  file.write(to_json(plan).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  file.commit();
}

Json translations(const std::vector<StudySummary>& summaries) {
  Json list = Json::array();
  for (const StudySummary& translated : summaries) {
    if (translated.translation.empty()) continue;
    for (const StudySummary& best : summaries) {
      if (!best.selected || !best.translation.empty() || best.method.name() != translated.method.name())
        continue;
      Json entry = method_to_json(best.method);
      entry["lambda_from"] = translated.translation;
      entry["lambda"] = *translated.lambda;
      entry["average_accuracy"] = translated.average_accuracy;
      entry["best_lambda"] = *best.lambda;
      entry["best_average_accuracy"] = best.average_accuracy;
      list.push_back(entry);
    }
  }
  return list;
}

}  // namespace fisherdiag::cli
