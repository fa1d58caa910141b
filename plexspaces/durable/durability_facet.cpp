#include "plexspaces/durable/durability_facet.hpp"

#include <utility>

#include <fmt/format.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

namespace {

// The identity of an input that another durable actor has sent, or null.
const InputId* message_of(const Turn& turn) {
  const Delivery* delivery = turn.delivery();
  return delivery != nullptr && delivery->id.kind == InputId::Kind::kActor ? &delivery->id : nullptr;
}

// A read changes nothing and sends nothing, and nobody counts on its being done once.
bool is_read(const Turn& turn) {
  const Delivery* delivery = turn.delivery();
  if (delivery != nullptr && (delivery->erase || delivery->id.kind != InputId::Kind::kNone)) return false;
  return turn.effects.sends.empty() && (turn.handler == nullptr || turn.read_only());
}

}  // namespace

DurabilityFacet::DurabilityFacet(Durability& durability, Activation& activation, DurableOptions options)
    : durability_(durability),
      activation_(activation),
      options_(options),
      replies_({options.outcome_retention, options.outcomes_max}),
      inbound_(options_),
      outbox_(options_, durability.random_),
      builder_(durability, activation, options_, replies_, inbound_, outbox_),
      pipeline_(durability, activation, options.uncommitted_turns_max),
      sender_(
          durability, activation, outbox_,
          [this](const ActorKey& receiver, const Outbox::Message& message, const Error& cause) {
            park(receiver, message, cause);
          },
          [this] { return !pipeline_.failure() && !builder_.dead_letters_full(); }, [this] { flush_acknowledged(); }) {}

DurabilityFacet::~DurabilityFacet() { durability_.outbox_left(outbox_.size()); }

// ---- loading -------------------------------------------------------------------------------------------------------

Facet::Ready DurabilityFacet::on_activate(Activation& activation) {
  durability_.lane_.run(
      [&runtime = activation.runtime(), id = activation.id(), key = activation.key()](store::Store& store) {
        runtime.post(id, [loaded = load_actor(store, key)](Activation& target) mutable {
          target.facet<DurabilityFacet>()->loaded(std::move(loaded));
        });
      });
  return Ready::kLater;
}

void DurabilityFacet::loaded(Result<LoadedActor> result) {
  auto failed = [&](Error error) {
    durability_.load_failed(activation_.key(), error);
    activation_.failed(std::move(error));
  };
  if (!result) return failed(result.error().with_prefix(activation_.key().to_string()));
  if (Status read = builder_.load(std::move(result->actor), result->dead_letters); !read) return failed(read.error());
  pipeline_.begin(result->sequence);
  replies_.load(std::move(result->outcomes));
  inbound_.load(std::move(result->senders));
  outbox_.load(std::move(result->receivers), std::move(result->outbox));
  durability_.counters_.loaded.fetch_add(1, std::memory_order_relaxed);
  durability_.outbox_loaded(activation_.key(), outbox_.size());
  loaded_ = true;
  activation_.ready();
  if (!outbox_.empty()) {
    reached(Probe::kOutboxRecovered);
    sender_.resend();
  }
  for (auto& order : std::exchange(when_loaded_, {})) order(*this);
}

void DurabilityFacet::when_loaded(std::move_only_function<void(DurabilityFacet&)> order) {
  if (loaded_) return order(*this);
  when_loaded_.push_back(std::move(order));
}

// ---- before the handler --------------------------------------------------------------------------------------------

Facet::Admission DurabilityFacet::admit(Turn& turn) {
  attempts_ = 0;
  put_off_ = false;
  given_up_.reset();
  if (pipeline_.failure()) {
    activation_.answer(std::move(turn.input), *pipeline_.failure());
    return Admission::kTaken;
  }
  if (turn.delivery() == nullptr || turn.delivery()->id.kind == InputId::Kind::kNone) return Admission::kRun;
  return message_of(turn) != nullptr ? admit_actor(turn) : admit_client(turn);
}

Facet::Admission DurabilityFacet::admit_client(Turn& turn) {
  const std::string& key = turn.delivery()->id.client_key;
  WallTime now = durability_.clock_.wall_now();
  replies_.forget_expired(now);
  const ReplyCache::Answer* known = replies_.find(key);
  Status fit = known == nullptr ? replies_.check_new(key, now) : ReplyCache::check_same(*known, request_hash(turn));
  if (!fit) {
    activation_.answer(std::move(turn.input), fit.error());
    return Admission::kTaken;
  }
  if (known == nullptr) return Admission::kRun;
  durability_.counters_.duplicates.fetch_add(1, std::memory_order_relaxed);
  if (known->open) {
    reached(Probe::kDuplicateJoined);
    pipeline_.join(std::string(key), std::move(turn.input));
  } else {
    reached(Probe::kDuplicateAnswered);
    answer(std::move(turn.input), *known);
  }
  return Admission::kTaken;
}

void DurabilityFacet::answer(detail::EnvelopePtr request, const ReplyCache::Answer& known) {
  if (known.outcome.code != 0)
    activation_.answer(std::move(request), error_of(known.outcome));
  else
    activation_.answer(std::move(request), known.reply);
}

Facet::Admission DurabilityFacet::admit_actor(Turn& turn) {
  const InputId& id = turn.delivery()->id;
  switch (inbound_.check(id, activation_.now())) {
    case Inbound::Verdict::kNext:
      return Admission::kRun;
    case Inbound::Verdict::kGap:
      reached(Probe::kOutboxGap);
      tell(id.sender, [me = activation_.key(), next = inbound_.position(id.sender) + 1](OutboxSender& sender) {
        sender.missed(me, next);
      });
      return Admission::kTaken;
    case Inbound::Verdict::kKnownGap:
    case Inbound::Verdict::kHeld:
      return Admission::kTaken;
    case Inbound::Verdict::kDuplicate:
      break;
  }
  reached(Probe::kOutboxDuplicate);
  durability_.counters_.duplicates.fetch_add(1, std::memory_order_relaxed);
  // Applied, but perhaps not committed yet: then its own commit acknowledges it.
  for (const PendingTurn& pending : pipeline_.in_flight())
    if (pending.sender == id.sender && pending.sender_sequence >= id.sequence) return Admission::kTaken;
  acknowledge(id.sender, inbound_.position(id.sender));
  return Admission::kTaken;
}

// A sender that is not live is told nothing: it sends again when it is, and is told then.
template <class Say>
void DurabilityFacet::tell(const ActorKey& sender, Say say) {
  if (auto id = durability_.runtime_.find_activation(sender))
    durability_.runtime_.post(*id, [say = std::move(say)](Activation& target) {
      auto* facet = target.facet<DurabilityFacet>();
      if (facet != nullptr && facet->loaded_) say(facet->sender());
    });
}

void DurabilityFacet::acknowledge(const ActorKey& sender, std::uint64_t sequence) {
  tell(sender, [me = activation_.key(), sequence](OutboxSender& target) { target.acknowledged(me, sequence); });
}

// ---- after the handler ---------------------------------------------------------------------------------------------

Facet::Recovery DurabilityFacet::on_error(Turn& turn) {
  if (Status restored = builder_.restore_state(); !restored) {
    turn.error = std::move(restored).error();
    return Recovery::kPass;
  }
  if (message_of(turn) != nullptr) {
    given_up_ = give_up(turn, *turn.error);
    put_off_ = !given_up_;
    if (given_up_) turn.error = given_up_;
    return Recovery::kCommit;
  }
  if (++attempts_ < options_.attempts_max) return Recovery::kRetry;
  reached(Probe::kInputParked);
  durability_.counters_.parked.fetch_add(1, std::memory_order_relaxed);
  turn.error = Error(Code::kInternal, fmt::format("given up after {} attempts: {}", attempts_, turn.error->message()),
                     "PLX-DUR-0006");
  return Recovery::kCommit;
}

// The handling of a message has failed. Nothing: its lane is held until another attempt, and its sender knows.
std::optional<Error> DurabilityFacet::give_up(const Turn& turn, const Error& cause) {
  const InputId& id = *message_of(turn);
  std::optional<Duration> delay = inbound_.failed(id, activation_.now());
  if (!delay && builder_.dead_letters_full()) delay = inbound_.hold_longest(id, activation_.now());
  if (delay) {
    reached(Probe::kInputPutOff);
    tell(id.sender, [me = activation_.key(), sequence = id.sequence, delay = *delay](OutboxSender& sender) {
      sender.held(me, sequence, delay);
    });
    return std::nullopt;
  }
  reached(Probe::kInputParked);
  durability_.counters_.parked.fetch_add(1, std::memory_order_relaxed);
  Error error(Code::kInternal,
              fmt::format("given up after {} attempts: {}", options_.message_attempts_max, cause.message()),
              "PLX-DUR-0006");
  durability_.runtime_.log(fmt::format("{}: the message {} number {} of {} is a dead letter: {} (PLX-DUR-0006)",
                                       activation_.key().to_string(), turn.input->type->value->name, id.sequence,
                                       id.sender.to_string(), error.message()));
  return error;
}

Facet::Gate DurabilityFacet::commit(Turn& turn) {
  if (put_off_) {
    turn.effects = {};
    return Gate::kHeld;
  }
  if (is_read(turn)) {
    if (pipeline_.empty()) return Gate::kOpen;
    reached(Probe::kReadGated);
    pipeline_.hold_read(std::move(turn.effects));
    return Gate::kHeld;
  }

  store::Commit commit;
  PendingTurn pending;
  if (Status added = builder_.add_turn(turn, commit, pending, given_up_ ? &*given_up_ : nullptr); !added) {
    // Nothing of the turn may stay but its answer, the error.
    if (Status restored = builder_.restore_state(); !restored) {
      // No actor can be made any more: the input is answered, and the activation ends.
      if (turn.effects.reply != nullptr) activation_.emit_error(std::move(turn.effects.reply), restored.error());
      activation_.failed(restored.error());
      return Gate::kHeld;
    }
    turn.effects.sends.clear();
    if (message_of(turn) != nullptr) {
      given_up_ = give_up(turn, added.error());
      if (!given_up_) {
        turn.effects = {};
        return Gate::kHeld;
      }
    } else {
      reached(Probe::kInputParked);
      durability_.counters_.parked.fetch_add(1, std::memory_order_relaxed);
    }
    if (turn.effects.reply != nullptr)
      turn.effects.reply = activation_.error_in_place_of(std::move(turn.effects.reply), added.error());
    commit = {};
    pending = {};
    Status again = builder_.add_turn(turn, commit, pending, given_up_ ? &*given_up_ : nullptr);
    PLX_CHECK(again.has_value(), "the state before the turn, without messages, can be stored");
  }
  submit(std::move(commit), std::move(pending));
  return Gate::kHeld;
}

// ---- committing ----------------------------------------------------------------------------------------------------

void DurabilityFacet::submit(store::Commit commit, PendingTurn pending) {
  builder_.finish(commit);
  submit_as_it_is(std::move(commit), std::move(pending));
}

void DurabilityFacet::submit_as_it_is(store::Commit commit, PendingTurn pending) {
  sender_.erase_acknowledged(builder_.row(), commit);
  durability_.outbox_pending_.fetch_add(static_cast<std::int64_t>(pending.messages.size()), std::memory_order_relaxed);
  pipeline_.submit(std::move(commit), std::move(pending));
}

void DurabilityFacet::committed(store::Outcome outcome, std::optional<Error> error) {
  auto [turn, failure] = pipeline_.completed(outcome, std::move(error));
  if (!failure) {
    durability_.counters_.commits.fetch_add(1, std::memory_order_relaxed);
    std::size_t held = turn.held();
    settle(std::move(turn));
    pipeline_.release(held);
    return;
  }
  abandon(std::move(turn), *failure);
  if (pipeline_.empty()) activation_.discard(!outbox_.empty());
}

void DurabilityFacet::settle(PendingTurn turn) {
  if (const ReplyCache::Answer* known = turn.client_key.empty() ? nullptr : replies_.committed(turn.client_key))
    for (detail::EnvelopePtr& request : turn.duplicates) answer(std::move(request), *known);
  activation_.emit(std::move(turn.effects));
  for (Effects& effects : turn.reads) activation_.emit(std::move(effects));
  for (PendingTurn::Message& message : turn.messages) sender_.committed(std::move(message));
  if (turn.sender) acknowledge(*turn.sender, turn.sender_sequence);
  if (turn.dead_letters != 0) durability_.dead_letters_.fetch_add(turn.dead_letters, std::memory_order_relaxed);
  if (turn.lane) {
    durability_.outbox_pending_.fetch_sub(1, std::memory_order_relaxed);
    sender_.lane_goes_on(*turn.lane);
  }
  if (turn.done) turn.done({});
}

void DurabilityFacet::abandon(PendingTurn turn, const Error& error) {
  for (detail::EnvelopePtr& request : turn.duplicates) activation_.answer(std::move(request), error);
  if (turn.effects.reply != nullptr) activation_.emit_error(std::move(turn.effects.reply), error);
  for (Effects& effects : turn.reads)
    if (effects.reply != nullptr) activation_.emit_error(std::move(effects.reply), error);
  for (PendingTurn::Message& message : turn.messages) outbox_.abandoned(message.receiver, message.sequence);
  durability_.outbox_pending_.fetch_sub(static_cast<std::int64_t>(turn.messages.size()), std::memory_order_relaxed);
  if (turn.done) turn.done(std::unexpected(error));
}

// ---- the outbox ----------------------------------------------------------------------------------------------------

void DurabilityFacet::park(const ActorKey& receiver, const Outbox::Message& message, const Error& cause) {
  reached(Probe::kOutboxParked);
  durability_.counters_.unsendable.fetch_add(1, std::memory_order_relaxed);
  durability_.runtime_.log(fmt::format("{}: the message {} number {} to {} is a dead letter: {} (PLX-DUR-0019)",
                                       activation_.key().to_string(), message.header.type, message.header.sequence,
                                       receiver.to_string(), cause.message()));
  store::Commit commit;
  PendingTurn pending;
  builder_.add_parked(receiver, message, cause, commit, pending);
  submit(std::move(commit), std::move(pending));
}

void DurabilityFacet::end_dead_letter(std::uint64_t id, std::optional<Value<StoredDeadLetter>> again,
                                      std::move_only_function<void(Status)> done) {
  if (pipeline_.failure()) return done(std::unexpected(*pipeline_.failure()));
  store::Commit commit;
  PendingTurn pending;
  if (Status ended = builder_.add_end_of_dead_letter(id, again ? &*again : nullptr, commit, pending); !ended)
    return done(std::unexpected(ended.error()));
  pending.done = std::move(done);
  submit(std::move(commit), std::move(pending));
}

// A commit of its own, when no turn came that could carry the erasures. The actor stays as it is, however large.
void DurabilityFacet::flush_acknowledged() {
  if (sender_.has_acknowledged() && !pipeline_.failure()) submit_as_it_is(store::Commit{}, PendingTurn{});
}

// Once the commits are done the activation may go: what is in the outbox is durable, and the next activation sends it.
bool DurabilityFacet::on_passivate(Activation&) {
  if (sender_.has_acknowledged()) flush_acknowledged();
  bool settled = loaded_ && pipeline_.empty() && !sender_.has_acknowledged() && !pipeline_.failure();
  if (!settled || outbox_.empty()) return settled;
  activation_.discard(/*again=*/true);
  return false;
}

}  // namespace plexspaces::durability
