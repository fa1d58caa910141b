#include "plexspaces/durable/commit_pipeline.hpp"

#include <algorithm>

#include "plexspaces/base/check.hpp"
#include "plexspaces/durable/durability_facet.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

namespace {

Error answer_of_failed(store::Outcome outcome) {
  switch (outcome) {
    case store::Outcome::kUnknown:
      return Error(Code::kUnknown,
                   "whether the request was carried out is not known: the store has failed; retry with the same key",
                   "PLX-DUR-0010", Error::Retry::kSame);
    case store::Outcome::kRefused:
      return Error(Code::kResourceExhausted, "the request was not carried out: the store refused it", "PLX-DUR-0011",
                   Error::Retry::kBackoff);
    default:
      return Error(Code::kUnavailable,
                   "the request was not carried out: another owner has the actor, or an earlier turn failed; retry",
                   "PLX-DUR-0012", Error::Retry::kSame);
  }
}

}  // namespace

void CommitPipeline::submit(store::Commit commit, PendingTurn turn) {
  commit.actor = activation_.key();
  commit.epoch = durability_.lane().store().epoch(store::shard_of(store::actor_row(commit.actor)));
  commit.expected_sequence = sequence_++;
  in_flight_.push_back(std::move(turn));
  hold(1);
  durability_.lane().commit(std::move(commit), [&runtime = activation_.runtime(), &durability = durability_,
                                                id = activation_.id()](store::Outcome outcome, const Error* error) {
    if (outcome == store::Outcome::kUnknown && error != nullptr) durability.give_up_store(*error);
    std::optional<Error> copy;
    if (error != nullptr) copy = *error;
    runtime.post(id, [outcome, copy = std::move(copy)](Activation& target) mutable {
      target.facet<DurabilityFacet>()->committed(outcome, std::move(copy));
    });
  });
}

void CommitPipeline::hold_read(Effects effects) {
  in_flight_.back().reads.push_back(std::move(effects));
  hold(1);
}

void CommitPipeline::join(const std::string& client_key, detail::EnvelopePtr request) {
  auto turn = std::ranges::find(in_flight_, client_key, &PendingTurn::client_key);
  PLX_CHECK(turn != in_flight_.end(), "an open request has its turn in flight");
  turn->duplicates.push_back(std::move(request));
  hold(1);
}

// What waits for a commit is bounded, whatever it is.
void CommitPipeline::hold(std::size_t more) {
  held_ += more;
  if (held_ < held_max_ || paused_) return;
  reached(Probe::kCommitsPaused);
  paused_ = true;
  activation_.pause();
}

void CommitPipeline::release(std::size_t held) {
  held_ -= held;
  if (!paused_ || failure_ || held_ >= held_max_) return;
  paused_ = false;
  activation_.resume();
}

CommitPipeline::Completed CommitPipeline::completed(store::Outcome outcome, std::optional<Error> error) {
  Completed completed{std::move(in_flight_.front()), std::nullopt};
  in_flight_.pop_front();
  if (outcome == store::Outcome::kDone) return completed;
  completed.error = answer_of_failed(outcome);
  if (error) completed.error = completed.error->caused_by(*std::move(error));
  if (!failure_) {
    reached(Probe::kCommitFailed);
    failure_ = completed.error;
    if (!paused_) activation_.pause();
    paused_ = true;
  }
  return completed;
}

}  // namespace plexspaces::durability
