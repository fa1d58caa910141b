#include "plexspaces/durable/durability.hpp"

#include <algorithm>
#include <any>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/durable/durability_facet.hpp"
#include "plexspaces/durable/virtual_actor_facet.hpp"

namespace plexspaces {

FacetSpec durable(DurableOptions options) { return {"durability", options}; }

FacetSpec virtual_actor(VirtualActorOptions options) { return {"virtual_actor", options}; }

namespace durability {

namespace {

Status above_zero(const ActorType& type, std::string_view option, bool is_above) {
  if (is_above) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the type '{}' has the option {} at or below zero: give it a value above", type.name, option),
              "PLX-DUR-0018");
}

Status check_virtual(const ActorType& type, const std::any& given) {
  return above_zero(type, "idle_timeout", std::any_cast<VirtualActorOptions>(given).idle_timeout > Duration::zero());
}

Status check_durable(const ActorType& type, const std::any& given) {
  auto options = std::any_cast<DurableOptions>(given);
  const std::pair<std::string_view, bool> above[] = {
      {"uncommitted_turns_max", options.uncommitted_turns_max > 0},
      {"attempts_max", options.attempts_max > 0},
      {"outcome_retention", options.outcome_retention > Duration::zero()},
      {"outcomes_max", options.outcomes_max > 0},
      {"outbox_messages_max", options.outbox_messages_max > 0},
      {"resend_after", options.resend_after > Duration::zero()}};
  for (const auto& [option, is_above] : above) PLX_TRY_STATUS(above_zero(type, option, is_above));
  if (options.resend_after_max < options.resend_after)
    return fail(
        Code::kInvalidArgument,
        fmt::format("the type '{}' has a resend_after_max below its resend_after: give it at least that", type.name),
        "PLX-DUR-0018");
  if (type.state == nullptr)
    return fail(
        Code::kFailedPrecondition,
        fmt::format("the type '{}' is durable but has no state to store: derive it from Stateful<S>", type.name),
        "PLX-DUR-0013");
  return {};
}

}  // namespace

Durability::Durability(Runtime& runtime, store::Store& store, env::Clock& clock)
    : runtime_(runtime), lane_(runtime.executor(), store), clock_(clock), on_failure_([](const Error&) {}) {
  runtime_.offer_facet("durability", {[this](Activation& activation, const std::any& options) {
                                        return std::make_unique<DurabilityFacet>(
                                            *this, activation, std::any_cast<DurableOptions>(options));
                                      },
                                      check_durable});
  runtime_.offer_facet("virtual_actor", {[](Activation& activation, const std::any& options) {
                                           return std::make_unique<VirtualActorFacet>(
                                               activation, std::any_cast<VirtualActorOptions>(options));
                                         },
                                         check_virtual});
}

Durability::~Durability() { runtime_.end_actors(); }

Status Durability::recover() {
  Status read;
  PLX_TRY_STATUS(lane_.store().scan(store::Table::kOutbox, "", [&](std::string_view key, std::string_view) {
    auto sender = store::actor_of(key);
    if (!sender) {
      read = std::unexpected(sender.error());
      return false;
    }
    ++recovered_[std::move(*sender)];
    ++outbox_pending_;
    return true;
  }));
  return read;
}

Status Durability::resume_outbox() {
  std::vector<ActorKey> senders;
  {
    std::lock_guard lock(recovered_mutex_);
    for (const auto& [sender, messages] : recovered_) senders.push_back(sender);
  }
  std::ranges::sort(senders);  // the same order in every run of a simulation
  for (const ActorKey& sender : senders)
    if (Status activated = runtime_.activate(sender); !activated)
      return std::unexpected(activated.error().with_prefix(
          fmt::format("{} has messages to send, but cannot be activated", sender.to_string())));
  return {};
}

void Durability::outbox_loaded(const ActorKey& sender, std::size_t messages) {
  outbox_pending_.fetch_add(static_cast<std::int64_t>(messages), std::memory_order_relaxed);
  std::lock_guard lock(recovered_mutex_);
  auto found = recovered_.find(sender);
  if (found == recovered_.end()) return;
  outbox_pending_.fetch_sub(static_cast<std::int64_t>(found->second), std::memory_order_relaxed);
  recovered_.erase(found);
}

Status Durability::readiness() const {
  if (failed_.load(std::memory_order_acquire))
    return fail(Code::kUnavailable, "the store has failed: the node ends; start it again", "PLX-DUR-0015");
  return lane_.readiness(runtime_.executor().now());
}

void Durability::store_failed(const Error& error) {
  if (!failed_.exchange(true)) on_failure_(error);
}

DurabilityStats Durability::stats() const {
  DurabilityStats stats;
  stats.commits = counters_.commits.load(std::memory_order_relaxed);
  stats.duplicates = counters_.duplicates.load(std::memory_order_relaxed);
  stats.parked = counters_.parked.load(std::memory_order_relaxed);
  stats.resent = counters_.resent.load(std::memory_order_relaxed);
  stats.activations_loaded = counters_.loaded.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace durability
}  // namespace plexspaces
