#include "plexspaces/actor/scheduler/worker.hpp"

#include <algorithm>
#include <utility>

#include "plexspaces/actor/lifecycle/cell_table.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/runtime.hpp"

namespace plexspaces::detail {

namespace {

constexpr int kCorrelationBits = 54;  // of one worker: enough for 19 years at 30 M/s
static_assert((std::uint64_t{kWorkersMax} - 1) << kCorrelationBits >> kCorrelationBits == kWorkersMax - 1);

constexpr std::size_t kMigratedMax = 32;             // actors in one migration
constexpr std::size_t kMigratedMessagesMax = 1'024;  // that wait at an actor: one with more stays
constexpr std::size_t kWokenPerBatch = 1'024;
constexpr std::size_t kTurnsBeforeLook = 4;  // at the clock
constexpr std::size_t kTurnsPerLook = 64;
constexpr std::size_t kCarefulBatches = 1'000;  // after a batch that took twice its time

void push_back(Envelope*& head, Envelope*& tail, Envelope* envelope) {
  envelope->next = nullptr;
  if (head != nullptr)
    tail->next = envelope;
  else
    head = envelope;
  tail = envelope;
}

}  // namespace

thread_local constinit ThreadLocal<Worker*> Worker::current_worker_ = nullptr;

Worker::Worker(Runtime& runtime, std::uint16_t index, TimePoint now)
    : runtime_(runtime),
      table_(runtime.table_),
      options_(runtime.options()),
      index_(index),
      node_id_(runtime.node_id()),
      messages_max_(runtime.mailbox_kinds_[0].messages_max),
      units_max_(runtime.mailbox_kinds_[0].units_max),
      now_(now),
      free_cells_(runtime.table_),
      last_correlation_(std::uint64_t{index} << kCorrelationBits),
      pool_(runtime.depot_),
      timers_(now),
      migration_(options_.migration_batches, options_.migration_turn_cost_min),
      recorder_(options_.recorder) {
  moves_in_ = options_.move_every_turns;
  if (options_.pick || moves_in_ > 0) unusual_ |= kSteered;
  if (recorder_ != nullptr) effects_ = &recorded_;
}

Worker::~Worker() = default;

// ---- the batch -----------------------------------------------------------------------------------------------------

TimePoint Worker::run_batch(TimePoint now) {
  Worker* outer = std::exchange(current_worker_, this);
  now_ = now;
  timers_.settle(now);
  turns_in_batch_ = 0;
  next_look_ = std::min(kTurnsBeforeLook, options_.turns_per_run);
  if (careful_batches_ > 0 && --careful_batches_ == 0) unusual_ &= static_cast<std::uint8_t>(~kCareful);
  take_cross_worker();
  fire_timers();
  bury_remains(kBuriedPerBatch);
  if (!run_queue_.empty()) say_idle(false);
  do {
    ActorCell* cell = next_runnable();
    if (cell == nullptr) break;
    run(*cell);
  } while (turns_in_batch_ < options_.turns_per_batch && !batch_is_over());
  std::size_t turns = turns_in_batch_;
  WorkerCounters::add(counters_.turns, turns);
  if (migration_.is_worthwhile(now, turns, run_queue_.size())) migrate_actors();
  current_worker_ = outer;
  if (has_more()) return now;
  say_idle(true);
  if (timers_.has_unsettled()) timers_.settle(runtime_.executor().now());
  return timers_.next_due();
}

// Half of the batch: what is due goes on in the next one, after others have had a turn.
void Worker::fire_timers() {
  timers_.advance(now_);
  std::size_t end = turns_in_batch_ + std::max<std::size_t>(options_.turns_per_batch / 2, 1);
  while (turns_in_batch_ < end && timers_.fire_next(this)) {
    ++turns_in_batch_;
    if (batch_is_over()) return;
  }
}

TimePoint Worker::fresh_now() const {
#ifdef PLX_BUG_DEADLINES_BY_THE_BATCH
  return now_;
#else
  return runtime_.executor().now();
#endif
}

Held Worker::held() const {
  const ActorCell* cell = running_.seen();
  if (cell == nullptr) return {};
  return {counters_.turns.load(std::memory_order_relaxed), turns_in_batch_.seen(), cell->id(),
          cell->class_number.load(std::memory_order_relaxed), running_message_.seen()};
}

bool Worker::has_cross_worker_work() const {
  return wakes_.load(std::memory_order_seq_cst) != nullptr || adopted_.load(std::memory_order_seq_cst) != nullptr;
}

void Worker::schedule(ActorCell& cell) {
  cell.flags |= ActorCell::kScheduled;
  run_queue_.push(cell);
}

void Worker::schedule_if_runnable(ActorCell& cell) {
  if ((cell.flags & ActorCell::kScheduled) != 0) return;
  bool system = cell.extras != nullptr && cell.extras->system_head != nullptr;
  bool user =
      (cell.head != nullptr || (cell.flags & ActorCell::kAtIdle) != 0) && (cell.flags & ActorCell::kWaiting) == 0;
  if (system || user || is_ending(cell)) schedule(cell);
}

ActorCell* Worker::next_runnable() {
  if (run_queue_.empty()) return nullptr;
  if (unusual_ != 0) [[unlikely]]
    return next_in_unusual_times();
  return run_queue_.pop();
}

ActorCell* Worker::next_in_unusual_times() {
  run_began_ = turns_in_batch_;
  next_look_ = std::min(next_look_, run_began_ + kTurnsBeforeLook);
  if (options_.pick) return pick_runnable();
  return run_queue_.pop();
}

// As the simulator chooses; who crashes by its plan is not run.
ActorCell* Worker::pick_runnable() {
  while (!run_queue_.empty()) {
    ActorCell& cell = run_queue_.take(run_queue_.size() > 1 ? options_.pick(run_queue_.size()) : 0);
    if (!options_.crash || !crashed_by_plan(cell)) return &cell;
  }
  return nullptr;
}

// @returns whether the cell, which is in no run queue, has crashed in place of its turn, or after it.
bool Worker::crashed_by_plan(ActorCell& cell) {
  constexpr std::string_view kWhat = "by the plan of the test";
  if (ActorCell::is_list(cell.inbox.load(std::memory_order_relaxed))) drain(cell);
  if (cell.head == nullptr || (cell.flags & (ActorCell::kWaiting | ActorCell::kStopping)) != 0) return false;
  if (cell.extras != nullptr && (cell.extras->activation != nullptr || cell.extras->system_head != nullptr))
    return false;
  Crash planned = options_.crash(*cell.actor, cell.extras != nullptr ? cell.extras->name : std::string_view());
  if (planned == Crash::kNo) return false;
  ++turns_in_batch_;
  Envelope* envelope = (cell.flags & ActorCell::kOwnMailbox) != 0 ? take_own(cell) : take_head(cell);
  if (planned == Crash::kBefore) {
    crash(cell, envelope, kWhat);
    release_envelope(&pool_, envelope);
  } else {
    turn(cell, envelope);
    if ((cell.flags & ActorCell::kStopping) == 0) {
      log_crash(cell, "after a turn", kWhat);
      stop_crashed(cell, kWhat);
    }
  }
  cell.flags |= ActorCell::kExiting;
  if (!end_as_told(cell)) schedule(cell);
  return true;
}

// Looks at the clock after 4, 16, 64 turns of the batch and every 64 from there, which cheap turns hardly feel. Costly
// ones overrun the batch by up to 64 of them, once: the worker then counts anew in each run, until for long no batch
// was that costly.
bool Worker::look_at_clock() {
#ifndef PLX_BUG_RUN_WITHOUT_TURN_BUDGET
  if (turns_in_batch_ >= options_.turns_per_run) return true;
#endif
  Duration spent = runtime_.executor().now() - now_;
  bool careful = (unusual_ & kCareful) != 0;
  if (spent >= options_.batch_time_max) {
#ifndef PLX_BUG_RUN_WITHOUT_TIME_BUDGET
    if (careful || spent >= 2 * options_.batch_time_max) {
      careful_batches_ = kCarefulBatches;
      unusual_ |= kCareful;
    }
    return true;
#endif
  }
  std::size_t turns = careful ? turns_in_batch_ - run_began_ : std::size_t{turns_in_batch_};
  std::size_t step = turns < kTurnsPerLook ? 3 * turns : kTurnsPerLook;
  if (careful && spent > Duration::zero()) {
    auto left = static_cast<std::size_t>((options_.batch_time_max - spent).count());
    step = std::clamp(turns * left / static_cast<std::size_t>(spent.count()), kTurnsBeforeLook,
                      std::max(step, kTurnsBeforeLook));
  }
  next_look_ = std::min(turns_in_batch_ + step, options_.turns_per_run);
  return false;
}

// Whether the run has no turn left for what comes next, else counts that. A run's first turn was counted as its run.
inline bool Worker::quantum_is_spent(bool first) {
  if (first) return false;
  ++turns_in_batch_;
  if (!batch_is_over()) [[likely]]
    return false;
  --turns_in_batch_;
  // The batch is over too: who runs next has a share of its own.
  next_look_ = turns_in_batch_;
  return true;
}

// Runs the actor until it has nothing to do or its share is spent.
void Worker::run(ActorCell& cell) {
  ++turns_in_batch_;  // so that runs without a turn end the batch too
  if ((cell.flags & ActorCell::kStopping) != 0 && end_as_told(cell)) [[unlikely]]
    return;
  constexpr std::uint16_t kNotStraight =
      ActorCell::kStopping | ActorCell::kOwnMailbox | ActorCell::kAtIdle | ActorCell::kBacklog;
  enum : unsigned { kSystem = 1, kMessage = 2 };
  unsigned done = 0;  // what this run has had
  for (;;) {
    if (cell.extras != nullptr && cell.extras->system_head != nullptr) [[unlikely]] {
      if (quantum_is_spent(done == 0)) [[unlikely]]
        return schedule(cell);
      done |= kSystem;
      Extras& extras = *cell.extras;
      Envelope* envelope = extras.system_head;
      extras.system_head = envelope->next;
      system_turn(cell, envelope);
    } else if (cell.head != nullptr && (cell.flags & (ActorCell::kWaiting | ActorCell::kOwnMailbox)) == 0) {
      if (quantum_is_spent(done == 0)) [[unlikely]]
        return schedule(cell);
      done = kMessage;
      turn(cell, take_head(cell));
    } else {
      Envelope* word = cell.inbox.load(std::memory_order_relaxed);
      if (ActorCell::is_list(word)) {
        if ((cell.flags & ActorCell::kBacklog) != 0) return run_backlog(cell);
        drain(cell);
        continue;
      }
      // acq_rel: who pushes after seeing kIdle must find everything this run wrote, and wakes us.
      if (word == nullptr && !cell.inbox.compare_exchange_strong(word, ActorCell::idle(), std::memory_order_acq_rel))
        continue;
      if ((cell.flags & kNotStraight) == 0) [[likely]] {
        cell.flags &= ~ActorCell::kScheduled;
        return;
      }
      if (!is_ending(cell)) {
        if ((cell.flags & ActorCell::kBacklog) != 0) return run_backlog(cell);
        if (quantum_is_spent(done == 0)) return schedule(cell);
        bool may_take = (cell.flags & (ActorCell::kOwnMailbox | ActorCell::kWaiting)) == ActorCell::kOwnMailbox;
        Envelope* envelope = may_take ? take_own(cell) : nullptr;
        if (envelope != nullptr) {
          done = kMessage;
          turn(cell, envelope);
        } else if ((cell.flags & ActorCell::kAtIdle) != 0 && (cell.flags & ActorCell::kWaiting) == 0) {
          idle_turn(cell);
        } else {
          cell.flags &= ~ActorCell::kScheduled;
          return;
        }
      }
    }
    if (is_ending(cell)) [[unlikely]] {
      if (end_as_told(cell)) return;
      continue;
    }
    if ((unusual_ & kSteered) != 0) [[unlikely]] {
      if (options_.move_every_turns > 0 && --moves_in_ == 0) {
        moves_in_ = options_.move_every_turns;
        Worker& next = *runtime_.workers_[(index_ + 1u) % runtime_.workers_.size()];
        if (&next != this && migrate(cell, next)) return;
      }
      if (options_.pick && done >= kMessage) return schedule(cell);  // the simulator chooses the actor of each turn
    }
  }
}

// ---- mailboxes -----------------------------------------------------------------------------------------------------

void Worker::append(ActorCell& cell, Envelope* envelope) {
  push_back(cell.head, cell.tail, envelope);
  cell.queued.store(cell.queued.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  cell.queued_units.store(cell.queued_units.load(std::memory_order_relaxed) + envelope->charge,
                          std::memory_order_relaxed);
}

Envelope* Worker::take_head(ActorCell& cell) {
  Envelope* envelope = cell.head;
  cell.head = envelope->next;
  cell.queued.store(cell.queued.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  cell.queued_units.store(cell.queued_units.load(std::memory_order_relaxed) - envelope->charge,
                          std::memory_order_relaxed);
  return envelope;
}

void Worker::append_system(ActorCell& cell, Envelope* envelope) {
  if (!envelope->is(Envelope::kReply) && is_peer_message(*envelope) && take_at_arrival(cell, envelope)) return;
  Extras& extras = Worker::extras(cell);
  push_back(extras.system_head, extras.system_tail, envelope);
}

Sent Worker::push_local(ActorCell& cell, Envelope* envelope) {
#ifndef PLX_BUG_PUSH_BEFORE_DRAIN
  // Before the first push to the plain list: see ActorCell.
  if (ActorCell::is_list(cell.inbox.load(std::memory_order_relaxed))) [[unlikely]]
    drain(cell);
#endif
  if (envelope->is(Envelope::kSystem)) [[unlikely]] {
    if ((cell.flags & (ActorCell::kOwnMailbox | ActorCell::kBacklog)) != 0) [[unlikely]] {
      // What trim_inbox() has taken out for a moment was sent before it.
      drain(cell);
      if ((cell.flags & ActorCell::kBacklog) != 0) return send_cross_worker(cell, cell.id(), envelope);
    }
    append_system(cell, envelope);
    if ((cell.flags & ActorCell::kScheduled) == 0) schedule(cell);
    return Sent::kOk;
  }
  if ((cell.flags & (ActorCell::kStopping | ActorCell::kOwnMailbox | ActorCell::kBacklog)) != 0) [[unlikely]]
    return push_own(cell, envelope);
  if (is_full(cell, *envelope)) [[unlikely]]
    return Sent::kFull;
  append(cell, envelope);
  if ((cell.flags & (ActorCell::kScheduled | ActorCell::kWaiting)) == 0) schedule(cell);
  return Sent::kOk;
}

// Takes what others have pushed, and queues it behind what is queued; more than kBacklogStep step by step.
void Worker::drain(ActorCell& cell) {
  if ((cell.flags & ActorCell::kBacklog) != 0) return;
  Envelope* came = take_inbox(cell);
  if (came == nullptr) return;
  if (turn_short_list(came)) [[likely]] {
    take_over(cell, came, kBacklogStep);
  } else {
    Extras& extras = Worker::extras(cell);
    extras.backlog = std::make_unique<Backlog>();
    extras.backlog->add(came);
    cell.flags |= ActorCell::kBacklog;
    if ((cell.flags & ActorCell::kScheduled) == 0) schedule(cell);
  }
}

// A step of the backlog, and the others have their turn.
[[gnu::noinline]] void Worker::run_backlog(ActorCell& cell) {
  Backlog& backlog = *cell.extras->backlog;
  if (!backlog.is_turning()) backlog.add(take_inbox(cell));
  if (backlog.is_turning())
    for (Envelope* orders = backlog.turn(); orders != nullptr;) orders = take_over(cell, orders, kBacklogStep);
  if (backlog.ready() != nullptr) backlog.set_ready(take_over(cell, backlog.ready(), kBacklogStep));
  if (backlog.is_empty()) {
    cell.flags &= static_cast<std::uint16_t>(~ActorCell::kBacklog);
    cell.extras->backlog.reset();
  }
  next_look_ = turns_in_batch_;
  schedule(cell);
}

// The list in the inbox, newest first; null: none.
Envelope* Worker::take_inbox(ActorCell& cell) {
  std::unique_lock<SharedMutex> trimming = lock_out_trimming(cell);
  if (!ActorCell::is_list(cell.inbox.load(std::memory_order_relaxed))) return nullptr;
  return cell.inbox.exchange(nullptr, std::memory_order_acquire);
}

// Queues at most `most` messages of the list, which begins with the oldest. @returns the rest.
Envelope* Worker::take_over(ActorCell& cell, Envelope* oldest, std::size_t most) {
  std::uint32_t generation = cell.generation.load(std::memory_order_relaxed);
  std::uint64_t charge = 0;
  std::uint32_t unlike = cell.flags & ActorCell::kOwnMailbox;
  Envelope* last = oldest;
  for (Envelope* at = oldest; at != nullptr && most > 0; at = at->next, --most) {
    charge += cross_worker_charge(*at);
    unlike |= (at->target_generation ^ generation) | (at->flags & Envelope::kSystem);
    last = at;
  }
  cell.cross_worker.fetch_sub(charge, std::memory_order_relaxed);
  Envelope* rest = std::exchange(last->next, nullptr);
  if (unlike == 0) [[likely]] {
    if (cell.head != nullptr)
      cell.tail->next = oldest;
    else
      cell.head = oldest;
    cell.tail = last;
    cell.queued.store(
        cell.queued.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(charge / kCrossWorkerMessage),
        std::memory_order_relaxed);
    cell.queued_units.store(
        cell.queued_units.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(charge & kCrossWorkerUnitsMask),
        std::memory_order_relaxed);
    return rest;
  }
  for (Envelope* next = nullptr; oldest != nullptr; oldest = next) {
    next = oldest->next;
    if (oldest->target_generation != generation)
      dead_letter(runtime_, this, oldest, DeadLetterReason::kNoActor, {cell.slot, oldest->target_generation});
    else if (oldest->is(Envelope::kSystem))
      append_system(cell, oldest);
    else
      append_any(cell, oldest);
  }
  if ((cell.flags & ActorCell::kOwnMailbox) != 0 && kind_of(cell).overflow == Overflow::kDropOldest) drop_oldest(cell);
  return rest;
}

Sent Worker::push_cross_worker(Runtime& runtime, ActorCell& cell, ActorId to, Envelope* envelope) {
  if (cell.generation.load(std::memory_order_acquire) != to.generation) return Sent::kGone;
  const MailboxKind& kind = runtime.mailbox_kind(cell);
  std::uint64_t charge = cross_worker_charge(*envelope);
  std::uint64_t before = cell.cross_worker.fetch_add(charge, std::memory_order_relaxed);
  std::uint64_t messages = (before / kCrossWorkerMessage) + cell.queued.load(std::memory_order_relaxed);
  std::uint64_t units = (before & kCrossWorkerUnitsMask) + cell.queued_units.load(std::memory_order_relaxed);
  bool full = messages >= kind.messages_max || units + envelope->charge > kind.units_max;
#ifdef PLX_BUG_MAILBOX_UNBOUNDED_ELSEWHERE
  full = false;
#endif
  if (full && !envelope->is(Envelope::kSystem)) [[unlikely]] {
    // With kDropOldest the home worker makes room when it takes what is on the way, or trim_inbox() does.
    if (kind.overflow != Overflow::kDropOldest || envelope->charge > kind.units_max) {
      cell.cross_worker.fetch_sub(charge, std::memory_order_relaxed);
      return kind.overflow == Overflow::kDropNewest && !envelope->is(Envelope::kAsk) ? Sent::kDropped : Sent::kFull;
    }
  }
  envelope->target_generation = to.generation;
  Envelope* old = cell.inbox.load(std::memory_order_relaxed);
  do {
    if (old == ActorCell::closed()) {
      cell.cross_worker.fetch_sub(charge, std::memory_order_relaxed);
      return Sent::kGone;
    }
    envelope->next = ActorCell::is_list(old) ? old : nullptr;
    // release: the drain must see the envelope. acquire, for `old` kIdle: see wake_home().
  } while (!cell.inbox.compare_exchange_weak(old, envelope, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (old == ActorCell::idle()) wake_home(runtime, cell);
  if (full && kind.overflow == Overflow::kDropOldest) [[unlikely]]
    trim_inbox(runtime, cell, to, kind);
  return Sent::kOk;
}

// The cell's inbox was idle and has something now. Whoever sets wake_pending puts the cell into the wake-ups of its
// home, so the cell is in at most one such list. A worker that takes it out clears the flag first (acq_rel on both
// sides), so what a later, unsuccessful setter pushed is visible to it.
void Worker::wake_home(Runtime& runtime, ActorCell& cell) {
  std::uint16_t home;
  for (;;) {
    if (cell.wake_pending.exchange(true, std::memory_order_acq_rel)) return;
    home = cell.home.load(std::memory_order_acquire);
    if (home < ActorCell::kInTransit) break;
    // On the way to a new home, which runs it when it adopts it; or ended, and what was pushed was taken at the end.
    // Meanwhile it may have arrived and gone idle again, and another pusher may have relied on the flag: look again.
    cell.wake_pending.exchange(false, std::memory_order_acq_rel);
    if (cell.home.load(std::memory_order_acquire) >= ActorCell::kInTransit) return;
  }
  Worker& worker = *runtime.workers_[home];
  ActorCell* old = worker.wakes_.load(std::memory_order_relaxed);
  do {
    cell.wake_next = old;
  } while (!worker.wakes_.compare_exchange_weak(old, &cell, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (old == nullptr) runtime.executor().wake(home);
}

void Worker::adopt_later(Runtime& runtime, ActorCell& cell, std::uint16_t index) {
  Worker& worker = *runtime.workers_[index];
  ActorCell* old = worker.adopted_.load(std::memory_order_relaxed);
  do {
    cell.run_next = old;
  } while (!worker.adopted_.compare_exchange_weak(old, &cell, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (old == nullptr) runtime.executor().wake(index);
}

// Adopts actors, in the order in which each sender gave them, and wakes others: part of them, when they are many.
void Worker::take_cross_worker() {
  if (arriving_ == nullptr && adopted_.load(std::memory_order_relaxed) != nullptr) {
    ActorCell* newest = adopted_.exchange(nullptr, std::memory_order_acquire);
    while (newest != nullptr) {
      ActorCell* next = std::exchange(newest->run_next, arriving_);
      arriving_ = std::exchange(newest, next);
    }
  }
  std::size_t end = turns_in_batch_ + std::max<std::size_t>(options_.turns_per_batch / 2, 1);
  while (arriving_ != nullptr && turns_in_batch_ < end) {
    ++turns_in_batch_;
    adopt(*std::exchange(arriving_, arriving_->run_next));
    if (batch_is_over()) break;
  }
  if (woken_ == nullptr && wakes_.load(std::memory_order_relaxed) != nullptr)
    woken_ = wakes_.exchange(nullptr, std::memory_order_acquire);
  for (std::size_t n = 0; woken_ != nullptr && n < kWokenPerBatch; ++n) wake(*std::exchange(woken_, woken_->wake_next));
}

void Worker::adopt(ActorCell& cell) {
  cell.home.store(index_, std::memory_order_release);
  cell.flags |= ActorCell::kScheduled;
  if ((cell.flags & ActorCell::kStartHook) != 0) start_adopted(cell);
  if (cell.extras != nullptr) {
    if (cell.extras->activation != nullptr) activate(cell);
    if (cell.extras->timers != nullptr) put_timers_on(cell);
  }
  schedule(cell);
}

void Worker::wake(ActorCell& cell) {
  cell.wake_pending.exchange(false, std::memory_order_acq_rel);
  std::uint16_t home = cell.home.load(std::memory_order_acquire);
  if (home == index_) {
    if ((cell.flags & ActorCell::kScheduled) == 0) schedule(cell);
  } else if (home < ActorCell::kInTransit) {
    wake_home(runtime_, cell);  // it has moved since: forward
  }
}

// ---- moving --------------------------------------------------------------------------------------------------------

// Gives a runnable actor, which is in no run queue, to another worker. @returns false when it has to stay.
bool Worker::migrate(ActorCell& cell, Worker& to) {
  if (cell.extras != nullptr &&
      (cell.extras->open != nullptr || cell.extras->activation != nullptr || cell.extras->system_head != nullptr))
    return false;
  if (cell.extras != nullptr && cell.extras->mailbox != nullptr && cell.extras->mailbox->holds_messages()) return false;
  if ((cell.flags & (ActorCell::kStopping | ActorCell::kBacklog)) != 0) return false;
  if (cell.queued.load(std::memory_order_relaxed) > kMigratedMessagesMax) return false;
  if (cell.extras != nullptr && cell.extras->timers != nullptr && !take_timers_off(cell)) return false;
  for (Envelope* envelope = cell.head; envelope != nullptr; envelope = envelope->next) {
    take_context_along(*envelope);
  }
  // Awake while it travels: who pushes then need not wake anybody, the adopter runs it.
  Envelope* word = ActorCell::idle();
  cell.inbox.compare_exchange_strong(word, nullptr, std::memory_order_acq_rel);
  cell.home.store(ActorCell::kInTransit, std::memory_order_release);
  adopt_later(runtime_, cell, to.index_);
  WorkerCounters::add(counters_.migrations);
  return true;
}

// A store only when it changes: others look at the flag seldom, and its line stays with this worker.
void Worker::say_idle(bool idle) {
  if (idle_.load(std::memory_order_relaxed) != idle) idle_.store(idle, std::memory_order_relaxed);
}

// The next worker that says that it is idle; null: none.
Worker* Worker::find_idle_worker() const {
  std::size_t workers = runtime_.workers_.size();
  for (std::size_t i = 1; i < workers; ++i) {
    Worker& other = *runtime_.workers_[(index_ + i) % workers];
    if (other.idle_.load(std::memory_order_relaxed)) return &other;
  }
  return nullptr;
}

// Half of what can run goes to an idle worker. That one is idle until it has been given something: it may be parked,
// and then does not say it again.
void Worker::migrate_actors() {
  if (options_.pick) return;
  Worker* to = find_idle_worker();
  if (to == nullptr) return;
  std::size_t count = std::min(run_queue_.size() / 2, kMigratedMax);
  std::size_t looked = run_queue_.size();
  bool migrated = false;
  while (count > 0 && looked-- > 0) {
    ActorCell* cell = next_runnable();
    if (migrate(*cell, *to)) {
      --count;
      migrated = true;
    } else {
      schedule(*cell);
    }
  }
  if (migrated) to->say_idle(false);
}

}  // namespace plexspaces::detail
