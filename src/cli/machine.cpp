// fisherdiag machine: what this machine has and what it can do at most.
#include <algorithm>

#include "cli/errors.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/signals.hpp"
#include "cli/verbs.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/base/version.hpp"
#include "fisherdiag/fisher/machine_probe.hpp"

namespace fisherdiag::cli {

namespace {

/// A rate measured on one thread and on all.
struct Rate {
  double one = 0;
  double all = 0;
};

template <class Measure>
Rate measure(int threads, Isa isa, Measure measure_on) {
  Rate rate;
  rate.one = measure_on(Context(1, isa));
  throw_if_interrupted();
  rate.all = threads == 1 ? rate.one : measure_on(Context(threads, isa));
  throw_if_interrupted();
  return rate;
}

Json to_json(const Rate& rate) {
  return {{"1", rate.one}, {"all", rate.all}};
}

struct Machine {
  int threads = 1;
  Isa isa = Isa::Baseline;
  std::vector<std::pair<Isa, Rate>> peaks;
  Rate bandwidth;

  const Rate& peak() const {
    return std::find_if(peaks.begin(), peaks.end(), [&](const auto& entry) { return entry.first == isa; })
        ->second;
  }
};

Machine measure_machine(int threads, Isa isa) {
  Machine machine;
  machine.threads = threads;
  machine.isa = isa;
  for (Isa level : available_isas())
    machine.peaks.emplace_back(level, measure(threads, level, measure_multiply_add_flops));
  machine.bandwidth = measure(threads, isa, measure_triad_bandwidth);
  return machine;
}

Json to_json(const Machine& machine, const CommonOptions& options) {
  const CacheSizes caches = cache_sizes();
  Json json = Json::object();
  json["cpu"] = cpu_model();
  json["cores"] = physical_cores();
  json["threads"] = machine.threads;
  json["threads_reason"] = thread_reason(options);
  json["isa"] = isa_name(machine.isa);
  json["isas"] = Json::array();
  for (const auto& [isa, rate] : machine.peaks) json["isas"].push_back(isa_name(isa));
  json["caches"] = {{"l1_data", caches.l1_data}, {"l2", caches.l2}, {"l3", caches.l3}};
  json["peak_flops"] = to_json(machine.peak());
  for (const auto& [isa, rate] : machine.peaks)
    json["peak_flops_by_isa"][std::string(isa_name(isa))] = to_json(rate);
  json["bandwidth"] = to_json(machine.bandwidth);
  json["compiler"] = compiler();
  json["version"] = version();
  return json;
}

std::string to_text(const Machine& machine, const CommonOptions& options) {
  const CacheSizes caches = cache_sizes();
  const auto size = [](std::size_t bytes) {
    return bytes ? binary_size(static_cast<double>(bytes)) : "unknown";
  };
  std::string text = "cpu      " + cpu_model() + "\n";
  text += "cores    " + std::to_string(physical_cores()) + "\n";
  text += "threads  " + std::to_string(machine.threads) + " (" + thread_reason(options) + ")\n";
  text +=
      "caches   L1 " + size(caches.l1_data) + ", L2 " + size(caches.l2) + ", L3 " + size(caches.l3) + "\n";
  text += "isa      " + std::string(isa_name(machine.isa)) + "\n\n";
  std::vector<std::vector<std::string>> rows = {
      {"", "1 thread", std::to_string(machine.threads) + " threads"}};
  for (const auto& [isa, rate] : machine.peaks)
    rows.push_back(
        {"multiply-add, " + std::string(isa_name(isa)), si(rate.one, "flop/s"), si(rate.all, "flop/s")});
  rows.push_back({"memory, triad", si(machine.bandwidth.one, "B/s"), si(machine.bandwidth.all, "B/s")});
  return text + table(rows);
}

int machine(const CommonOptions& options) {
  const Context context = make_context(options);
  if (!options.quiet) print_note("measuring for about two seconds");
  const Machine result = measure_machine(context.threads(), context.isa());
  if (options.json)
    print_json(to_json(result, options));
  else
    print(to_text(result, options));
  return kDone;
}

}  // namespace

Run add_machine(CLI::App& verb) {
  const auto options = std::make_shared<CommonOptions>();
  verb.footer(
      "  fisherdiag machine\n"
      "  fisherdiag machine --threads 1 --json");
  add_common_options(verb, *options);
  return [options] { return machine(*options); };
}

}  // namespace fisherdiag::cli
