#include "plexspaces/durable/durability.hpp"

#include <algorithm>
#include <any>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/base/utf8.hpp"
#include "plexspaces/durable/durability_facet.hpp"
#include "plexspaces/durable/virtual_actor_facet.hpp"

namespace plexspaces {

FacetSpec durable(DurableOptions options) { return {"durability", options}; }

FacetSpec virtual_actor(VirtualActorOptions options) { return {"virtual_actor", options}; }

namespace durability {

namespace {

constexpr std::string_view kFacetName = "durability";
constexpr std::size_t kIdBytes = 8;  // at the end of a key of the outbox, behind a NUL

// Keys and causes need not be UTF-8, but JSON is.
std::string shown(std::string text) {
  if (!is_utf8(text)) std::ranges::replace_if(text, [](char c) { return (c & 0x80) != 0; }, '?');
  return text;
}

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
      {"message_attempts_max", options.message_attempts_max > 0},
      {"retry_after", options.retry_after > Duration::zero()},
      {"dead_letters_max", options.dead_letters_max > 0},
      {"outbox_bytes_max", options.outbox_bytes_max > 0},
      {"receiver_messages_max", options.receiver_messages_max > 0},
      {"receiver_bytes_max", options.receiver_bytes_max > 0},
      {"outcome_retention", options.outcome_retention > Duration::zero()},
      {"outcomes_max", options.outcomes_max > 0},
      {"outbox_messages_max", options.outbox_messages_max > 0},
      {"resend_after", options.resend_after > Duration::zero()}};
  for (const auto& [option, is_above] : above) PLX_TRY_STATUS(above_zero(type, option, is_above));
  auto below = [&](std::string_view least, std::string_view most) {
    return fail(Code::kInvalidArgument,
                fmt::format("the type '{}' has a {} below its {}: give it at least that", type.name, most, least),
                "PLX-DUR-0018");
  };
  if (options.resend_after_max < options.resend_after) return below("resend_after", "resend_after_max");
  if (options.retry_after_max < options.retry_after) return below("retry_after", "retry_after_max");
  if (type.state == nullptr)
    return fail(
        Code::kFailedPrecondition,
        fmt::format("the type '{}' is durable but has no state to store: derive it from Stateful<S>", type.name),
        "PLX-DUR-0013");
  return {};
}

}  // namespace

Durability::Durability(Runtime& runtime, store::Store& store, env::Clock& clock, env::Random& random)
    : runtime_(runtime),
      lane_(runtime.executor(), store),
      clock_(clock),
      random_(random),
      on_failure_([](const Error&) {}) {
  runtime_.offer_facet(std::string(kFacetName), {[this](Activation& activation, const std::any& options) {
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
    if (dead_letter_id_of(outbox_id_of(key.substr(key.size() - kIdBytes)))) {
      ++dead_letters_;
      return true;
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
  // One sender never keeps a node from starting: its messages stay where they are.
  for (const ActorKey& sender : senders) {
    Status activated = can_send(sender);
    if (activated) activated = runtime_.activate(sender);
    if (!activated) load_failed(sender, activated.error());
  }
  return {};
}

bool Durability::is_durable(const ActorKey& key) const {
  const ActorType* type = runtime_.types().find(key.type);
  return type != nullptr && std::ranges::count(type->facets, kFacetName, &FacetSpec::name) > 0;
}

Status Durability::can_send(const ActorKey& sender) const {
  if (is_durable(sender)) return {};
  return fail(Code::kNotFound,
              fmt::format("the program has no durable type '{}': run a version that has it", sender.type),
              "PLX-DUR-0019");
}

void Durability::outbox_loaded(const ActorKey& sender, std::size_t messages) {
  outbox_pending_.fetch_add(static_cast<std::int64_t>(messages), std::memory_order_relaxed);
  std::lock_guard lock(recovered_mutex_);
  auto found = recovered_.find(sender);
  if (found == recovered_.end()) return;
  outbox_pending_.fetch_sub(static_cast<std::int64_t>(found->second), std::memory_order_relaxed);
  recovered_.erase(found);
  stuck_.erase(sender);
}

// What is left is in the store; whoever activates the sender next sends it.
void Durability::outbox_left(std::size_t messages) {
  outbox_pending_.fetch_sub(static_cast<std::int64_t>(messages), std::memory_order_relaxed);
}

// Told here because nobody may wait for the actor: it was activated for its outbox.
void Durability::load_failed(const ActorKey& sender, const Error& error) {
  std::lock_guard lock(recovered_mutex_);
  auto found = recovered_.find(sender);
  if (found == recovered_.end()) return;
  stuck_[sender] = found->second;
  runtime_.log(fmt::format("{} has {} messages to send, but cannot be activated: {} ({})", sender.to_string(),
                           found->second, error.message(), error.domain()));
}

std::string Durability::stuck() const {
  std::string text;
  if (std::size_t letters = dead_letters(); letters > 0)
    text = fmt::format("{} dead letters wait for 'deadletter retry' or 'deadletter drop'", letters);
  std::lock_guard lock(recovered_mutex_);
  if (stuck_.empty()) return text;
  std::size_t messages = 0;
  for (const auto& [sender, count] : stuck_) messages += count;
  return text + fmt::format("{}{} messages of {} actors that cannot be activated, such as {}, wait in the outbox",
                            text.empty() ? "" : "; ", messages, stuck_.size(), stuck_.begin()->first.to_string());
}

void Durability::list_dead_letters(std::move_only_function<void(Result<std::vector<DeadLetter>>)> done) {
  lane_.run([done = std::move(done)](store::Store& store) mutable {
    std::vector<DeadLetter> letters;
    Status read;
    auto visit = [&](std::string_view key, std::string_view value) -> Status {
      auto number = dead_letter_id_of(outbox_id_of(key.substr(key.size() - kIdBytes)));
      if (!number) return {};
      PLX_TRY(owner, store::actor_of(key));
      PLX_TRY(stored, from_value<StoredDeadLetter>(value, "dead letter"));
      const StoredDeadLetter& letter = stored.header;
      letters.push_back({shown(owner.to_string()), *number, shown(from_stored(letter.sender).to_string()),
                         shown(from_stored(letter.message.receiver).to_string()), letter.message.type, letter.at_ms,
                         letter.attempts, stored.tail.size(), shown(letter.cause.data)});
      return {};
    };
    Status scanned = store.scan(store::Table::kOutbox, "", [&](std::string_view key, std::string_view value) {
      read = visit(key, value);
      return read.has_value() && letters.size() < kDeadLettersListedMax;
    });
    if (!scanned) return done(std::unexpected(scanned.error()));
    if (!read) return done(std::unexpected(read.error()));
    done(std::move(letters));
  });
}

namespace {

// Calls `done` once: an order to an activation that ends before it is dropped unseen.
class Once {
 public:
  explicit Once(std::move_only_function<void(Status)> done) : done_(std::move(done)) {}
  Once(Once&&) = default;
  ~Once() {
    (*this)(fail(Code::kUnavailable, "the actor ended before the order reached it: send it again", "PLX-ACT-0022",
                 Error::Retry::kBackoff));
  }
  void operator()(Status status) {
    if (auto done = std::exchange(done_, nullptr)) done(std::move(status));
  }

 private:
  std::move_only_function<void(Status)> done_;
};

}  // namespace

void Durability::end_dead_letter(const ActorKey& owner, std::uint64_t number, bool again,
                                 std::move_only_function<void(Status)> done) {
  lane_.run([this, owner, number, again, done = Once(std::move(done))](store::Store& store) mutable {
    auto value = store.get(store::Table::kOutbox, dead_letter_row(store::actor_row(owner), number));
    if (!value) return done(std::unexpected(value.error()));
    if (!*value)
      return done(
          fail(Code::kNotFound, fmt::format("{} has no dead letter {}", owner.to_string(), number), "PLX-DUR-0020"));
    auto letter = from_value<StoredDeadLetter>(**value, "dead letter");
    if (!letter) return done(std::unexpected(letter.error()));
    Status possible = can_send(owner);
    if (possible) possible = runtime_.activate(owner);
    auto id = runtime_.find_activation(owner);
    if (!possible || !id) return done(possible);
    std::optional<Value<StoredDeadLetter>> message;
    if (again) message = *std::move(letter);
    runtime_.post(*id, [number, message = std::move(message), done = std::move(done)](Activation& target) mutable {
      target.facet<DurabilityFacet>()->when_loaded(
          [number, message = std::move(message), done = std::move(done)](DurabilityFacet& facet) mutable {
            facet.end_dead_letter(number, std::move(message), std::move(done));
          });
    });
  });
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
  stats.unsendable = counters_.unsendable.load(std::memory_order_relaxed);
  stats.resent = counters_.resent.load(std::memory_order_relaxed);
  stats.activations_loaded = counters_.loaded.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace durability
}  // namespace plexspaces
