// Mailboxes that are not like all others: with their own limits and policy, priorities, a stash, or senders that wait.
//
//     push_own --has room--> plain list, sorted by level --take_own--> turn --stash()--> stash
//        |                        ^                                                        |
//        `--full--> policy        `--let_in-- offers (senders wait)                        `--unstash_all()--> front
//
// The flag kOwnMailbox leads here, so that the pushes and takes of all other actors pay nothing for it.
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/lifecycle/cell_table.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/recorder.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

constexpr auto kNormalLevel = static_cast<std::size_t>(Priority::kNormal);
constexpr auto kLowLevel = static_cast<std::size_t>(Priority::kLow);

// What the runtime owes the actor, whatever its mailbox's bound.
bool is_owed(const Envelope& envelope) {
  return is_internal_user_message(envelope) || envelope.type == &message_info<Down>() ||
         envelope.type == &message_info<Exited>();
}

void count(ActorCell& cell, std::uint32_t messages, std::uint32_t units) {
  cell.queued.store(cell.queued.load(std::memory_order_relaxed) + messages, std::memory_order_relaxed);
  cell.queued_units.store(cell.queued_units.load(std::memory_order_relaxed) + units, std::memory_order_relaxed);
}

}  // namespace

SendOffer::~SendOffer() {
  Worker* worker = Worker::current();
  if (message != nullptr) destroy_envelope(worker != nullptr ? &worker->pool() : nullptr, message);
}

SendWait::~SendWait() {
  if (decision != nullptr) decision->decide();
}

void Worker::configure(ActorCell& cell, std::uint8_t mailbox_kind, std::string name) {
  if (!name.empty()) extras(cell).name = std::move(name);
  if (mailbox_kind == 0) return;
  make_own_mailbox(cell);
  // release: who reads the number may read the kind.
  cell.mailbox.store(mailbox_kind, std::memory_order_release);
}

MailboxState& Worker::mailbox_state(ActorCell& cell) {
  Extras& extras = Worker::extras(cell);
  if (extras.mailbox == nullptr) extras.mailbox = std::make_unique<MailboxState>();
  return *extras.mailbox;
}

void Worker::make_own_mailbox(ActorCell& cell) {
  MailboxState& state = mailbox_state(cell);
  if ((cell.flags & ActorCell::kOwnMailbox) != 0) return;
  cell.flags |= ActorCell::kOwnMailbox;
  state.last = {};
  state.passed_over = {};
  state.urgent = 0;
  if (cell.head != nullptr) state.last[kNormalLevel] = cell.tail;
}

const MailboxKind& Worker::kind_of(const ActorCell& cell) const { return runtime_.mailbox_kind(cell); }

// ---- the sorted list -----------------------------------------------------------------------------------------------

std::size_t Worker::level_of(const ActorCell& cell, const Envelope& envelope) const {
  const Priorities& priority = kind_of(cell).priority;
  if (priority.empty()) return kNormalLevel;
  // After what is queued: see Context::spawn_linked().
  if (envelope.type == &kParentExitMessage) return kLowLevel;
  const Envelope* message = &envelope;
  if (envelope.type == &kTickMessage) {
    const ActorTimer* timer = cell.extras->timers->find(const_cast<Envelope&>(envelope).payload_as<TimerRef>());
    if (timer == nullptr) return kNormalLevel;  // cancelled: nothing will come of it
    message = timer->message;
  }
  return static_cast<std::size_t>(priority.of(*message->type, const_cast<Envelope*>(message)->payload()));
}

// Puts the message behind `before`, a message of its level or the last of an earlier one; null: in front of all.
void Worker::insert_own(ActorCell& cell, std::size_t level, Envelope* envelope, Envelope* before) {
  MailboxState& state = *cell.extras->mailbox;
  if (before == state.before(level + 1)) state.last[level] = envelope;
  Envelope*& link = before != nullptr ? before->next : cell.head;
  envelope->next = std::exchange(link, envelope);
  if (envelope->next == nullptr) cell.tail = envelope;
  count(cell, 1, envelope->charge);
}

void Worker::append_own(ActorCell& cell, Envelope* envelope) {
  std::size_t level = level_of(cell, *envelope);
  insert_own(cell, level, envelope, cell.extras->mailbox->before(level + 1));
}

void Worker::append_any(ActorCell& cell, Envelope* envelope) {
  if ((cell.flags & ActorCell::kOwnMailbox) != 0)
    append_own(cell, envelope);
  else
    append(cell, envelope);
}

// In front of everything that is queued.
void Worker::prepend_any(ActorCell& cell, Envelope* envelope) {
  if ((cell.flags & ActorCell::kOwnMailbox) != 0) {
    insert_own(cell, 0, envelope, nullptr);
    ++cell.extras->mailbox->urgent;
    return;
  }
  envelope->next = cell.head;
  if (cell.head == nullptr) cell.tail = envelope;
  cell.head = envelope;
  count(cell, 1, envelope->charge);
}

// Behind which the messages of the level begin; null: the first of all.
Envelope* Worker::front_of(const ActorCell& cell, std::size_t level) {
  const MailboxState& state = *cell.extras->mailbox;
  if (level > 0 || state.urgent == 0) return state.before(level);
  Envelope* last = cell.head;
  for (std::size_t i = 1; i < state.urgent; ++i) last = last->next;
  return last;
}

// Takes the message behind `before` (null: the first) out of the plain list.
void Worker::remove_queued(ActorCell& cell, Envelope* before, Envelope* envelope) {
  (before != nullptr ? before->next : cell.head) = envelope->next;
  if (cell.tail == envelope) cell.tail = before;
  count(cell, ~std::uint32_t{0}, 0u - envelope->charge);
  if ((cell.flags & ActorCell::kOwnMailbox) == 0) return;
  MailboxState& state = *cell.extras->mailbox;
  if (state.urgent > 0) {
    std::size_t place = before == nullptr ? 0 : 1;
    for (Envelope* at = cell.head; place > 0 && place < state.urgent && at != before; at = at->next) ++place;
    if (place < state.urgent) --state.urgent;
  }
  for (std::size_t level = 0; level < kPriorities; ++level)
    if (state.last[level] == envelope) state.last[level] = before == state.before(level) ? nullptr : before;
}

// The next message in the order of Priority; null: none.
Envelope* Worker::take_own(ActorCell& cell) {
  let_in(cell);
  if (cell.head == nullptr) return nullptr;
  if ((cell.flags & ActorCell::kOwnMailbox) == 0) {
    Envelope* envelope = cell.head;
    remove_queued(cell, nullptr, envelope);
    return envelope;
  }
  MailboxState& state = *cell.extras->mailbox;
  if (state.urgent > 0) {
    Envelope* envelope = cell.head;
    remove_queued(cell, nullptr, envelope);
    return envelope;
  }
  std::size_t level = kPriorities;
  for (std::size_t i = kPriorities; i-- > 0;) {
    if (state.last[i] == nullptr) {
      state.passed_over[i] = 0;
      continue;
    }
    // The lowest level that has waited long enough, else the highest.
    if (level < kPriorities && state.passed_over[level] >= kHigherInARowMax) continue;
    level = i;
  }
#ifdef PLX_BUG_PRIORITY_STARVES
  level = 0;
  while (state.last[level] == nullptr) ++level;
#endif
  for (std::size_t i = level + 1; i < kPriorities; ++i)
    if (state.last[i] != nullptr) ++state.passed_over[i];
  state.passed_over[level] = 0;
  Envelope* before = state.before(level);
  Envelope* envelope = before != nullptr ? before->next : cell.head;
  remove_queued(cell, before, envelope);
  let_in(cell);
  return envelope;
}

// ---- limits and policies -------------------------------------------------------------------------------------------

bool Worker::fits(const ActorCell& cell, const Envelope& envelope) const {
  const MailboxKind& kind = kind_of(cell);
  std::uint64_t coming = cell.cross_worker.load(std::memory_order_relaxed);
  return cell.queued.load(std::memory_order_relaxed) + coming / kCrossWorkerMessage < kind.messages_max &&
         cell.queued_units.load(std::memory_order_relaxed) + (coming & kCrossWorkerUnitsMask) + envelope.charge <=
             kind.units_max;
}

Sent Worker::push_own(ActorCell& cell, Envelope* envelope) {
  if ((cell.flags & ActorCell::kStopping) != 0) return Sent::kGone;
  // What is on its way may be in the hands of trim_inbox(): FIFO, see ActorCell.
  if (kind_of(cell).overflow == Overflow::kDropOldest) drain(cell);
  if ((cell.flags & ActorCell::kBacklog) != 0) return send_cross_worker(cell, cell.id(), envelope);
  // What waits for room has come before.
  let_in(cell);
  const MailboxKind& kind = kind_of(cell);
  bool offers = cell.extras->mailbox->offers != nullptr;
  if (offers || !fits(cell, *envelope)) {
    if (kind.overflow == Overflow::kDropNewest && !envelope->is(Envelope::kAsk)) return Sent::kDropped;
    if (kind.overflow != Overflow::kDropOldest || envelope->charge > kind.units_max) return Sent::kFull;
  }
  append_any(cell, envelope);
  if (kind.overflow == Overflow::kDropOldest) drop_oldest(cell);
  if ((cell.flags & (ActorCell::kScheduled | ActorCell::kWaiting)) == 0) schedule(cell);
  return Sent::kOk;
}

// Drops what is over the limits: the oldest of the lowest level that may be dropped.
void Worker::drop_oldest(ActorCell& cell) {
  const MailboxKind& kind = kind_of(cell);
  MailboxState& state = *cell.extras->mailbox;
  for (std::size_t level = kPriorities; level-- > 0;) {
    Envelope* before = front_of(cell, level);
    if (state.last[level] == nullptr || state.last[level] == before) continue;
    Envelope* next = before != nullptr ? before->next : cell.head;
    for (bool last = false; !last;) {
      if (cell.queued.load(std::memory_order_relaxed) <= kind.messages_max &&
          cell.queued_units.load(std::memory_order_relaxed) <= kind.units_max)
        return;
      last = next == state.last[level];
      Envelope* envelope = std::exchange(next, next->next);
      if (is_owed(*envelope)) {
        before = envelope;
      } else {
        remove_queued(cell, before, envelope);
        dead_letter(runtime_, this, envelope, DeadLetterReason::kDroppedOldest, cell.id());
      }
    }
  }
}

// With kDropOldest, whoever finds the inbox twice over the limits drops its older messages: the actor may be in a long
// turn, and its home worker does not look. It takes the whole list, so nobody else may take what comes after it before
// it has put the rest back: the drain and the end of such a cell wait for the lock.
std::unique_lock<SharedMutex> Worker::lock_out_trimming(const ActorCell& cell) {
  if ((cell.flags & ActorCell::kOwnMailbox) == 0 || kind_of(cell).overflow != Overflow::kDropOldest) return {};
  return std::unique_lock<SharedMutex>(runtime_.trim_mutexes_[cell.slot % runtime_.trim_mutexes_.size()]);
}

void Worker::trim_inbox(Runtime& runtime, ActorCell& cell, ActorId to, const MailboxKind& kind) {
  std::uint64_t foreign = cell.cross_worker.load(std::memory_order_relaxed);
  if (foreign / kCrossWorkerMessage < 2 * std::uint64_t{kind.messages_max} &&
      (foreign & kCrossWorkerUnitsMask) < 2 * std::uint64_t{kind.units_max})
    return;
  Envelope* victims = nullptr;
  {
    std::lock_guard lock(runtime.trim_mutexes_[cell.slot % runtime.trim_mutexes_.size()]);
    // The same actor still: one that ends waits for the lock before it closes its inbox.
    if (cell.generation.load(std::memory_order_acquire) != to.generation) return;
    Envelope* word = cell.inbox.load(std::memory_order_relaxed);
    do {
      if (!ActorCell::is_list(word)) return;
      // acquire: the envelopes of others are read here.
    } while (!cell.inbox.compare_exchange_weak(word, nullptr, std::memory_order_acquire, std::memory_order_relaxed));

    // Newest first: those that fit stay, and every order. What is older goes.
    std::uint64_t messages = 0, units = 0, dropped = 0;
    Envelope* kept = word;
    Envelope** link = &kept;
    for (Envelope* envelope = word; envelope != nullptr;) {
      Envelope* next = envelope->next;
      bool order = envelope->is(Envelope::kSystem);
      messages += order ? 0 : 1;
      units += order ? 0 : envelope->charge;
      if (order || (messages <= kind.messages_max && units <= kind.units_max)) {
        *link = envelope;
        link = &envelope->next;
      } else {
        dropped += kCrossWorkerMessage + envelope->charge;
        envelope->next = std::exchange(victims, envelope);
      }
      envelope = next;
    }
    *link = nullptr;
    cell.cross_worker.fetch_sub(dropped, std::memory_order_relaxed);

    // Back, beneath what has come meanwhile.
    word = cell.inbox.load(std::memory_order_relaxed);
    while (kept != nullptr) {
      PLX_CHECK(word != ActorCell::closed(), "the end of the actor waits for the lock");
      if (ActorCell::is_list(word)) {
        if (!cell.inbox.compare_exchange_weak(word, nullptr, std::memory_order_acquire, std::memory_order_relaxed))
          continue;
        Envelope* oldest = word;
        while (oldest->next != nullptr) oldest = oldest->next;
        oldest->next = std::exchange(kept, word);
        word = nullptr;
      } else if (cell.inbox.compare_exchange_weak(word, kept, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        // As push_cross_worker(): release for the drain, acquire for wake_home().
        if (word == ActorCell::idle()) wake_home(runtime, cell);
        break;
      }
    }
  }
  Worker* worker = current();
  if (worker != nullptr && &worker->runtime_ != &runtime) worker = nullptr;
  while (victims != nullptr) {
    Envelope* next = victims->next;
    dead_letter(runtime, worker, victims, DeadLetterReason::kDroppedOldest, {to.slot, victims->target_generation});
    victims = next;
  }
}

// ---- senders that wait for room ------------------------------------------------------------------------------------

bool Worker::begin_send(SendWait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                        Duration within) {
  ActorCell& cell = *context.cell_;
  auto refuse = [&](DeadLetterReason reason, Error error) {
    wait.error = std::move(error);
    dead_letter(runtime_, this, envelope, reason, to);
    return false;
  };
  if (node != node_id_) return begin_send_elsewhere(wait, context, node, to, envelope, within);
  envelope->set_sender(cell.id());
  if (request_ != nullptr) inherit_request(*envelope, *request_);
  if (!to || table_.find(to.slot) == nullptr) return refuse(DeadLetterReason::kNoActor, gone_error());
  if (envelope->charge > runtime_.message_units_max())
    return refuse(DeadLetterReason::kTooLarge, too_large_error(envelope->bytes(), options_));
  if (recorder_ != nullptr) {
    static_cast<void>(keep(to, envelope));  // a test's mailboxes have room
    return false;
  }
  Sent sent = send(to, envelope);
  if (sent == Sent::kOk) return false;
  if (sent == Sent::kGone) return refuse(DeadLetterReason::kNoActor, gone_error());
  if (to == cell.id())
    return refuse(
        DeadLetterReason::kMailboxFull,
        Error(Code::kFailedPrecondition,
              "the actor's own mailbox is full: it cannot wait for room that only it can make", "PLX-ACT-0042"));
  ActorCell& receiver = *table_.find(to.slot);
  if (runtime_.too_many_offers(receiver)) return refuse(DeadLetterReason::kMailboxFull, too_many_sends_error());
  wait.decision = std::make_shared<SendDecision>();
  wait.correlation = ++last_correlation_;
  Envelope* order = make_send_message(&pool_, {wait.decision, envelope, to});
  order->set_sender(cell.id());
  order->extension = wait.correlation;
  begin_wait(wait, cell, within, &Worker::send_timed_out);
  signal(to, order);
  return true;
}

void Worker::send_timed_out(Timer& timer, void* worker) {
  auto& wait = static_cast<SendWait&>(static_cast<Wait&>(timer));
  // Let in just now: the answer is on its way, and the wait goes on for that only.
  if (!wait.decision->decide()) return;
  wait.error = no_room_error();
  static_cast<Worker*>(worker)->resume_after(wait);
}

void Worker::take_offer(ActorCell& cell, Envelope* order) {
  if ((cell.flags & ActorCell::kStopping) != 0)
    return refuse_offer(order, DeadLetterReason::kNoActor, cell.id(), gone_error());
  if (order->payload_as<SendOffer>().message->charge > kind_of(cell).units_max)
    return refuse_offer(order, DeadLetterReason::kMailboxFull, cell.id(), mailbox_full_error());
  make_own_mailbox(cell);
  MailboxState& state = *cell.extras->mailbox;
  if (state.offer_count >= options_.sends_waiting_max) forget_taken_back(state);
  if (state.offer_count >= options_.sends_waiting_max)
    return refuse_offer(order, DeadLetterReason::kMailboxFull, cell.id(), too_many_sends_error());
  state.add_offer(order);
  let_in(cell);
  schedule_if_runnable(cell);
}

// Offers that were taken back stand in the queue until their turn, or until it is full.
void Worker::forget_taken_back(MailboxState& state) {
  Envelope* order = std::exchange(state.offers, nullptr);
  state.offer_count = 0;
  while (order != nullptr) {
    Envelope* next = order->next;
    if (order->payload_as<SendOffer>().decision->is_decided())
      destroy_envelope(&pool_, order);
    else
      state.add_offer(order);
    order = next;
  }
}

// Takes messages of senders that wait, the oldest first, while there is room.
void Worker::let_in(ActorCell& cell) {
  MailboxState* state = cell.extras == nullptr ? nullptr : cell.extras->mailbox.get();
  if (state == nullptr || (cell.flags & ActorCell::kOwnMailbox) == 0) return;
  while (state->offers != nullptr) {
    Envelope* order = state->offers;
    auto& offer = order->payload_as<SendOffer>();
    if (!offer.decision->is_decided()) {
      if (!fits(cell, *offer.message) && kind_of(cell).overflow != Overflow::kDropOldest) return;
    }
    state->offers = order->next;
    --state->offer_count;
    bool wanted = offer.decision->decide();
#ifdef PLX_BUG_TAKEN_BACK_BUT_HANDLED
    wanted = true;
#endif
    if (wanted) {
      append_own(cell, std::exchange(offer.message, nullptr));
      if (kind_of(cell).overflow == Overflow::kDropOldest) drop_oldest(cell);
      send_reply(begin_reply(order, 0, 0));
    }
    destroy_envelope(&pool_, order);
  }
  if (cell.mailbox.load(std::memory_order_relaxed) == 0 && state->urgent == 0) cell.flags &= ~ActorCell::kOwnMailbox;
}

void Worker::refuse_offer(Envelope* order, DeadLetterReason reason, ActorId to, Error error) {
  auto& offer = order->payload_as<SendOffer>();
  if (offer.decision->decide()) {
    dead_letter(runtime_, this, std::exchange(offer.message, nullptr), reason, to);
    send_reply(error_reply(order, std::move(error)));
  }
  destroy_envelope(&pool_, order);
}

// ---- the stash -----------------------------------------------------------------------------------------------------

Status Worker::stash(Context& context) {
  ActorCell& cell = *context.cell_;
  Envelope* input = context.input_;
  if (cell.extras != nullptr && cell.extras->activation != nullptr)
    return fail(Code::kUnimplemented, "an actor that is addressed by key has no stash", "PLX-ACT-0043");
  if (input->type->value == nullptr)
    return fail(Code::kFailedPrecondition, "there is no message to stash in this turn", "PLX-ACT-0044");
  MailboxState& state = mailbox_state(cell);
  if (!state.stash.empty() && state.stash.back().message == input) return {};
  std::uint32_t asked = input->flags & (Envelope::kAsk | Envelope::kSink);
  if (state.stash.size() >= options_.stash_max || state.stash_units + input->charge > kind_of(cell).units_max) {
    count_dead_letter(*input, DeadLetterReason::kStashFull, cell.id());
    Error error = stash_full_error();
    if (asked != 0) send_reply(error_reply(input, error));
    return std::unexpected(std::move(error));
  }
  // The turn's result is nobody's: the answer is given when the message is handled at last.
  state.stash.push_back({input, asked, input->sender});
  forget_asker(*input);
  state.stash_units += input->charge;
  SuspendedTurn* open = cell.extras->open;
  if (open != nullptr && open->input == input)
    open->input_kept = true;
  else
    input_taken_ = true;
  return {};
}

void Worker::unstash_all(Context& context) {
  ActorCell& cell = *context.cell_;
  MailboxState* state = cell.extras == nullptr ? nullptr : cell.extras->mailbox.get();
  if (state == nullptr) return;
  // The running input is still in use: it stays.
  std::optional<Stashed> running;
  if (!state->stash.empty() && state->stash.back().message == context.input_) {
    running = state->stash.back();
    state->stash.pop_back();
  }
  bool own = (cell.flags & ActorCell::kOwnMailbox) != 0;
  Envelope* behind_urgent = own ? front_of(cell, 0) : nullptr;
  for (std::size_t i = state->stash.size(); i-- > 0;) {
    Envelope* message = state->stash[i].restored();
    if (own) {
      std::size_t level = level_of(cell, *message);
      insert_own(cell, level, message, level == 0 ? behind_urgent : front_of(cell, level));
    } else {
      prepend_any(cell, message);
    }
  }
  state->stash.clear();
  state->stash_units = 0;
  if (running) {
    state->stash.push_back(*running);
    state->stash_units = running->message->charge;
  }
  schedule_if_runnable(cell);
}

void Worker::retry_stashed(ActorCell& cell) {
  MailboxState* state = cell.extras == nullptr ? nullptr : cell.extras->mailbox.get();
  if (state == nullptr) return;
  for (std::size_t i = state->stash.size(); i-- > 0;) {
    Envelope* message = state->stash[i].restored();
    prepend_any(cell, message);
  }
  state->stash.clear();
  state->stash_units = 0;
  schedule_if_runnable(cell);
}

// The actor has ended.
void Worker::end_mailbox(MailboxState& state, ActorId id) {
  for (const Stashed& stashed : state.stash)
    dead_letter(runtime_, this, stashed.restored(), DeadLetterReason::kStopped, id);
  while (state.offers != nullptr) {
    Envelope* next = state.offers->next;
    refuse_offer(std::exchange(state.offers, next), DeadLetterReason::kStopped, id, gone_error());
  }
}

}  // namespace plexspaces::detail
