#include "fisherdiag/fisher/fisher_run.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "fisherdiag/base/error.hpp"
#include "fisherdiag/base/system.hpp"
#include "fisherdiag/fisher/request.hpp"
#include "fisherdiag/fisher/sample_scores.hpp"
#include "fisherdiag/fisher/trace_parts.hpp"

namespace fisherdiag {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

const SampleRound& resumed_round(Sampling& sampling, const PassState& state, const std::string& file) {
  try {
    return sampling.resume(state.rounds, state.moments);
  } catch (const DataError& error) {
    throw DataError(file + ": holds " + error.what());
  }
}

}  // namespace

FisherRun::FisherRun(const Network& network, Dataset& data, const FisherOptions& options,
                     const Context& context, std::size_t block_rows, Checkpointer* checkpointer)
    : network_(network),
      data_(data),
      options_(options),
      context_(context),
      block_rows_(block_rows),
      checkpointer_(checkpointer) {}

void FisherRun::report_progress() const {
  if (options_.progress && !options_.progress(done_, expected_)) throw InterruptedError("interrupted");
}

FisherStatistics FisherRun::statistics() const {
  FisherStatistics total = own_;
  total.seconds = before_.seconds + seconds_since(start_) - own_.reading_seconds - checkpoint_seconds_;
  total.reading_seconds += before_.reading_seconds;
  total.flops += before_.flops;
  return total;
}

SampleScores FisherRun::score() {
  ScoreOptions options{options_.estimator, options_.likelihood, block_rows_, options_.profile, {}};
  expected_ = data_.size() + (options_.until ? 0 : options_.subset.size.value_or(0));
  options.progress = [&](std::size_t done) {
    done_ = done;
    report_progress();
    return true;
  };
  own_.flops += static_cast<double>(data_.size()) * score_flops_per_sample(network_.architecture());
  return score_samples(network_, data_, options, context_, own_.reading_seconds);
}

AlignedBuffer<double> FisherRun::sum(Sampling& sampling) {
  if (sampling.needs_scores()) sampling.use_scores(score());
  reader_ = std::make_unique<BlockReader>(
      data_, std::vector<std::uint64_t>(), std::min(block_rows_, sampling.bound()),
      reads_targets(network_.architecture(), data_, options_.estimator, options_.likelihood));
  const std::size_t section_rows =
      shard_section_rows_ ? 0 : pass_section_rows(network_.architecture(), options_, data_.size(), context_);
  pass_ = make_pass(network_, options_, block_rows_, section_rows, context_);
  pass_->set_stop(options_.stop);
  std::optional<PassState> state;
  if (checkpointer_) state = checkpointer_->take_state();
  try {
    const SampleRound* round = state ? &resume(sampling, std::move(*state)) : &sampling.next();
    for (;; round = &sampling.next()) {
      add_round(sampling, *round);
      sampling.finish_round();
      if (sampling.finished()) break;
      round_done_ = 0;
    }
  } catch (const InterruptedError&) {
    if (!checkpointer_) throw;
    save(sampling, false);
    throw InterruptedError("interrupted; " + checkpointer_->path().string() + " holds the " +
                           std::to_string(done_) + " samples done so far");
  }
  if (checkpointer_) save(sampling, true);
  AlignedBuffer<double> sum = pass_->take_sum();
  squares_ = pass_->take_squares();
  pass_.reset();
  reader_.reset();
  return sum;
}

void FisherRun::restrict_to(std::size_t first, std::size_t section_rows) {
  first_ = first;
  shard_section_rows_ = section_rows;
}

const SampleRound& FisherRun::resume(Sampling& sampling, PassState state) {
  const std::string file = checkpointer_->path().string();
  const SampleRound& round = resumed_round(sampling, state, file);
  const std::size_t before = sampling.used() - round.count;
  if (state.done > round.count)
    throw DataError(file + ": has " + std::to_string(state.done) + " samples of a round of " +
                    std::to_string(round.count));
  if (state.position != before + state.done || state.total.size() != pass_->sums().total().size())
    throw DataError(file + ": its sums are not those of the " + std::to_string(before + state.done) +
                    " samples it says it holds");
  pass_->sums().restore(state.position, std::move(state.running), std::move(state.total));
  sections_ = std::move(state.sections);
  before_ = state.statistics;
  round_done_ = state.done;
  done_ = before + round_done_;
  return round;
}

void FisherRun::add_round(Sampling& sampling, const SampleRound& round) {
  const std::size_t layers = trace_part_count(network_.architecture().parameters());
  traces_ = AlignedBuffer<double>(sampling.wants_traces() ? std::min(block_rows_, round.count) * layers : 0);
  reader_->select(round.samples);
  if (round.replaces) pass_->sums().clear();
  expected_ = done_ + round.count - round_done_;
  report_progress();
  while (round_done_ < round.count) {
    add_block(sampling, round, block_count(round, round_done_));
    const bool section_ends =
        shard_section_rows_ && (round_done_ % shard_section_rows_ == 0 || round_done_ == round.count);
    if (section_ends) sections_.push_back(pass_->take_section());
    report_progress();
    if (checkpointer_ && round_done_ < round.count && checkpointer_->due()) save(sampling, false);
  }
}

std::size_t FisherRun::block_count(const SampleRound& round, std::size_t done) const {
  const std::size_t count = std::min(block_rows_, round.count - done);
  return shard_section_rows_ ? std::min(count, shard_section_rows_ - done % shard_section_rows_) : count;
}

void FisherRun::read_block(const SampleRound& round, std::size_t count) {
  const double busy = may_read_ahead_ ? thread_cpu_seconds() : 0;
  const Clock::time_point reading = Clock::now();
  bool was_ahead = false;
  {
    const PassTimer timer(options_.profile ? &options_.profile->main_track() : nullptr, PassPhase::Read);
    was_ahead = reader_->read(first_ + round_done_, count);
  }
  const double seconds = seconds_since(reading);
  own_.reading_seconds += seconds;
  if (!may_read_ahead_) return;
  if (!was_ahead) reading_waits_ = seconds > 2 * (thread_cpu_seconds() - busy);
  // A thread that reads while all others compute takes time from them, so it must have something to wait for,
  // or a core of its own.
  const std::size_t next = round_done_ + count;
  if (next < round.count && (reading_waits_ || context_.threads() < default_threads()))
    reader_->read_ahead(first_ + next, block_count(round, next));
}

void FisherRun::add_block(Sampling& sampling, const SampleRound& round, std::size_t count) {
  read_block(round, count);
  const std::size_t layers = trace_part_count(network_.architecture().parameters());
  const std::span<const float> weights(round.weights);
  pass_->add(reader_->inputs(), reader_->targets(), reader_->samples(),
             weights.empty() ? weights : weights.subspan(round_done_, count),
             {traces_.data(), traces_.empty() ? 0 : count, layers});
  sampling.add_traces({traces_.data(), traces_.empty() ? 0 : count * layers});
  own_.flops += static_cast<double>(count) *
                fisher_flops_per_sample(network_.architecture(), options_.estimator, options_.likelihood);
  round_done_ += count;
  done_ += count;
}

void FisherRun::save(const Sampling& sampling, bool finished) {
  const FisherStatistics statistics = this->statistics();
  const Clock::time_point begin = Clock::now();
  const SectionedSum& sums = pass_->sums();
  checkpointer_->save({sampling.rounds(), round_done_, sums.position(), sums.running(), sums.total(),
                       sections_, sampling.moments(), statistics},
                      finished);
  checkpoint_seconds_ += seconds_since(begin);
}

}  // namespace fisherdiag
