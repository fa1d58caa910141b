#include "plexspaces/actor/worker.hpp"

#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/cell_table.hpp"
#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces::detail {

namespace {

constexpr std::size_t kGiveMax = 32;            // actors given away at once
constexpr std::size_t kTurnsPerClockRead = 64;  // in a run

// Orders of the runtime to an actor, in its system lane.
using Task = std::move_only_function<void(Activation&)>;
const MessageInfo kStop{nullptr, nullptr, nullptr, nullptr};
const MessageInfo kTask{nullptr, nullptr, [](void* value) { static_cast<Task*>(value)->~Task(); }, nullptr};

const RequestContextPtr* request_of(const Envelope& envelope) {
  return envelope.context != nullptr && envelope.context->request != nullptr ? &envelope.context->request : nullptr;
}

Error gone_error() {
  return Error(Code::kNotFound, "no such actor: it has ended, or the reference is of an earlier life", "PLX-ACT-0005");
}
Error full_error() {
  return Error(Code::kResourceExhausted, "the mailbox is full: send less, or raise mailbox_messages_max",
               "PLX-ACT-0006", Retry::kBackoff);
}

}  // namespace

thread_local constinit Worker* Worker::current_worker_ = nullptr;

void* allocate_frame(std::size_t bytes) {
  std::size_t block = block_class(bytes);
  Worker* worker = Worker::current();
  PLX_CHECK(worker != nullptr, "a handler runs on a worker");
  return block < kBlockClasses ? worker->pool().allocate(block) : ::operator new(bytes, std::align_val_t(64));
}

void free_frame(void* frame, std::size_t bytes) {
  std::size_t block = block_class(bytes);
  if (block >= kBlockClasses || !kPoolBlocks) return ::operator delete(frame, std::align_val_t(64));
  // Outside a worker only while the runtime is torn down: the slab goes with the depot.
  if (Worker* worker = Worker::current()) worker->pool().free(frame, block);
}

Wait::~Wait() {
  if (worker == nullptr) return;
  worker->timers().cancel(*this);
  if (reply != nullptr) destroy_envelope(&worker->pool(), reply);
}

Worker::Worker(Runtime& runtime, std::uint16_t index, TimePoint now)
    : runtime_(runtime),
      table_(runtime.table_),
      options_(runtime.options()),
      index_(index),
      now_(now),
      last_correlation_(std::uint64_t{index} << 56),
      pool_(runtime.depot_),
      timers_(now) {
  moves_in_ = options_.move_every_turns;
}

Worker::~Worker() = default;

// ---- the batch -----------------------------------------------------------------------------------------------------

TimePoint Worker::run_batch(TimePoint now) {
  Worker* outer = std::exchange(current_worker_, this);
  now_ = now;
  take_foreign();
  timers_.advance(now, this);
  std::size_t turns = 0;
  while (turns < options_.turns_per_batch) {
    Cell* cell = next_runnable();
    if (cell == nullptr) break;
    turns += std::max<std::size_t>(1, run(*cell));
  }
  WorkerCounters::add(counters_.turns, turns);
  if (runnable_ > 1 && runtime_.hungry_worker_.load(std::memory_order_relaxed) >= 0) {
    Duration cost = (runtime_.executor().now() - now) / static_cast<Duration::rep>(std::max<std::size_t>(1, turns));
    costly_batches_ = cost >= options_.give_turn_cost_min ? costly_batches_ + 1 : 0;
    if (costly_batches_ >= options_.give_batches_min) give_away();
  }
  current_worker_ = outer;
  if (run_head_ != nullptr) return now;
  if (runtime_.workers_.size() > 1) runtime_.hungry_worker_.store(index_, std::memory_order_relaxed);
  return timers_.next_due();
}

bool Worker::has_foreign_work() const {
  return wakes_.load(std::memory_order_seq_cst) != nullptr || adopted_.load(std::memory_order_seq_cst) != nullptr;
}

void Worker::schedule(Cell& cell) {
  cell.flags |= Cell::kScheduled;
  cell.run_next = nullptr;
  if (run_head_ != nullptr)
    run_tail_->run_next = &cell;
  else
    run_head_ = &cell;
  run_tail_ = &cell;
  ++runnable_;
}

void Worker::schedule_if_runnable(Cell& cell) {
  if ((cell.flags & Cell::kScheduled) != 0) return;
  bool system = cell.extras != nullptr && cell.extras->system_head != nullptr;
  bool user = cell.head != nullptr && (cell.flags & Cell::kWaiting) == 0;
  if (system || user || (cell.flags & Cell::kStopping) != 0) schedule(cell);
}

Cell* Worker::next_runnable() {
  Cell* cell = run_head_;
  if (cell == nullptr) return nullptr;
  if (options_.pick && runnable_ > 1) [[unlikely]] {
    Cell* before = nullptr;
    for (std::size_t n = options_.pick(runnable_); n > 0; --n) before = std::exchange(cell, cell->run_next);
    if (before != nullptr) {
      before->run_next = cell->run_next;
      if (run_tail_ == cell) run_tail_ = before;
      --runnable_;
      return cell;
    }
  }
  run_head_ = cell->run_next;
  --runnable_;
  return cell;
}

// Looks at the clock every kTurnsPerClockRead turns: most runs end before the first look.
bool Worker::run_is_over(TimePoint& began, std::size_t turns) {
  TimePoint now = runtime_.executor().now();
  if (turns == kTurnsPerClockRead) began = now;
  return now - began >= options_.run_time_max;
}

// Runs the actor until it has nothing to do or its share is spent.
std::size_t Worker::run(Cell& cell) {
  std::size_t turns = 0;
  TimePoint began;
  for (;;) {
    if (cell.extras != nullptr && cell.extras->system_head != nullptr) [[unlikely]] {
      Extras& extras = *cell.extras;
      Envelope* envelope = extras.system_head;
      extras.system_head = envelope->next;
      system_turn(cell, envelope);
    } else if (cell.head != nullptr && (cell.flags & Cell::kWaiting) == 0) {
      if (turns % kTurnsPerClockRead == 0 && turns > 0 && run_is_over(began, turns)) {
        schedule(cell);
        return turns;
      }
      Envelope* envelope = cell.head;
      cell.head = envelope->next;
      cell.queued.store(cell.queued.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      cell.queued_bytes -= envelope->charge;
      ++turns;
      turn(cell, envelope);
    } else {
      Envelope* word = cell.inbox.load(std::memory_order_relaxed);
      if (Cell::is_list(word)) {
        drain(cell);
        continue;
      }
      // acq_rel: who pushes after seeing kIdle must find everything this run wrote, and wakes us.
      if (word == nullptr && !cell.inbox.compare_exchange_strong(word, Cell::idle(), std::memory_order_acq_rel))
        continue;
      if ((cell.flags & Cell::kStopping) == 0) {
        cell.flags &= ~Cell::kScheduled;
        return turns;
      }
    }
    if ((cell.flags & Cell::kStopping) != 0) [[unlikely]] {
      end(cell);
      return turns;
    }
    if (options_.move_every_turns > 0 && moves_in_ > 0 && --moves_in_ == 0) [[unlikely]] {
      moves_in_ = options_.move_every_turns;
      Worker& next = *runtime_.workers_[(index_ + 1u) % runtime_.workers_.size()];
      if (&next != this && give(cell, next)) return turns;
    }
    if (options_.pick && turns > 0) [[unlikely]] {
      schedule(cell);  // the simulator chooses the actor of each turn
      return turns;
    }
  }
}

// ---- mailboxes -----------------------------------------------------------------------------------------------------

void Worker::append(Cell& cell, Envelope* envelope) {
  envelope->next = nullptr;
  if (cell.head != nullptr)
    cell.tail->next = envelope;
  else
    cell.head = envelope;
  cell.tail = envelope;
  cell.queued.store(cell.queued.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  cell.queued_bytes += envelope->charge;
}

void Worker::append_system(Cell& cell, Envelope* envelope) {
  Extras& extras = Worker::extras(cell);
  envelope->next = nullptr;
  if (extras.system_head != nullptr)
    extras.system_tail->next = envelope;
  else
    extras.system_head = envelope;
  extras.system_tail = envelope;
}

Sent Worker::push_local(Cell& cell, Envelope* envelope) {
  // Before the first push to the plain list: see Cell.
  if (Cell::is_list(cell.inbox.load(std::memory_order_relaxed))) [[unlikely]]
    drain(cell);
  if (envelope->is(Envelope::kSystem)) [[unlikely]] {
    append_system(cell, envelope);
    if ((cell.flags & Cell::kScheduled) == 0) schedule(cell);
    return Sent::kOk;
  }
  if (cell.queued.load(std::memory_order_relaxed) >= options_.mailbox_messages_max ||
      cell.queued_bytes + envelope->charge > options_.mailbox_bytes_max) [[unlikely]]
    return Sent::kFull;
  append(cell, envelope);
  if ((cell.flags & (Cell::kScheduled | Cell::kWaiting)) == 0) schedule(cell);
  return Sent::kOk;
}

// Takes what others pushed, oldest first, to the end of the plain list.
void Worker::drain(Cell& cell) {
  Envelope* newest = cell.inbox.exchange(nullptr, std::memory_order_acquire);
  Envelope* oldest = nullptr;
  std::uint64_t drained = 0;
  while (newest != nullptr) {
    Envelope* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    drained += kForeignMessage + newest->charge;
    newest = next;
  }
  cell.foreign.fetch_sub(drained, std::memory_order_relaxed);
  std::uint32_t generation = cell.generation.load(std::memory_order_relaxed);
  while (oldest != nullptr) {
    Envelope* next = oldest->next;
    if (oldest->target_generation != generation)
      bury(runtime_, this, oldest, DeadLetterReason::kNoActor, {cell.slot, oldest->target_generation});
    else if (oldest->is(Envelope::kSystem))
      append_system(cell, oldest);
    else
      append(cell, oldest);
    oldest = next;
  }
}

Sent Worker::push_foreign(Runtime& runtime, Cell& cell, ActorId to, Envelope* envelope) {
  if (cell.generation.load(std::memory_order_acquire) != to.generation) return Sent::kGone;
  const RuntimeOptions& options = runtime.options();
  std::uint64_t charge = kForeignMessage + envelope->charge;
  std::uint64_t before = cell.foreign.fetch_add(charge, std::memory_order_relaxed);
  std::uint64_t messages = (before / kForeignMessage) + cell.queued.load(std::memory_order_relaxed);
  bool full = messages >= options.mailbox_messages_max ||
              (before & kForeignBytesMask) + envelope->charge > options.mailbox_bytes_max;
  if (full && !envelope->is(Envelope::kSystem)) {
    cell.foreign.fetch_sub(charge, std::memory_order_relaxed);
    return Sent::kFull;
  }
  envelope->target_generation = to.generation;
  Envelope* old = cell.inbox.load(std::memory_order_relaxed);
  do {
    if (old == Cell::closed()) {
      cell.foreign.fetch_sub(charge, std::memory_order_relaxed);
      return Sent::kGone;
    }
    envelope->next = Cell::is_list(old) ? old : nullptr;
    // release: the drain must see the envelope. acquire, for `old` kIdle: see wake_home().
  } while (!cell.inbox.compare_exchange_weak(old, envelope, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (old == Cell::idle()) wake_home(runtime, cell);
  return Sent::kOk;
}

// The cell's inbox was idle and has something now. Whoever sets wake_pending puts the cell into the wake-ups of its
// home, so the cell is in at most one such list. A worker that takes it out clears the flag first (acq_rel on both
// sides), so what a later, unsuccessful setter pushed is visible to it.
void Worker::wake_home(Runtime& runtime, Cell& cell) {
  if (cell.wake_pending.exchange(true, std::memory_order_acq_rel)) return;
  std::uint16_t home = cell.home.load(std::memory_order_acquire);
  if (home >= Cell::kInTransit) {
    // On the way to a new home, which runs it when it adopts it; or ended, and what was pushed was taken at the end.
    cell.wake_pending.store(false, std::memory_order_release);
    return;
  }
  Worker& worker = *runtime.workers_[home];
  Cell* old = worker.wakes_.load(std::memory_order_relaxed);
  do {
    cell.wake_next = old;
  } while (!worker.wakes_.compare_exchange_weak(old, &cell, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (old == nullptr) runtime.executor().wake(home);
}

void Worker::adopt_later(Runtime& runtime, Cell& cell, std::uint16_t index) {
  Worker& worker = *runtime.workers_[index];
  Cell* old = worker.adopted_.load(std::memory_order_relaxed);
  do {
    cell.run_next = old;
  } while (!worker.adopted_.compare_exchange_weak(old, &cell, std::memory_order_seq_cst, std::memory_order_relaxed));
  if (old == nullptr) runtime.executor().wake(index);
}

void Worker::take_foreign() {
  if (adopted_.load(std::memory_order_relaxed) != nullptr) {
    Cell* cell = adopted_.exchange(nullptr, std::memory_order_acquire);
    while (cell != nullptr) {
      Cell* next = cell->run_next;
      cell->home.store(index_, std::memory_order_release);
      cell->flags |= Cell::kScheduled;
      if (cell->extras != nullptr && cell->extras->activation != nullptr) activate(*cell);
      schedule(*cell);
      cell = next;
    }
  }
  if (wakes_.load(std::memory_order_relaxed) != nullptr) {
    Cell* cell = wakes_.exchange(nullptr, std::memory_order_acquire);
    while (cell != nullptr) {
      Cell* next = cell->wake_next;
      cell->wake_pending.exchange(false, std::memory_order_acq_rel);
      std::uint16_t home = cell->home.load(std::memory_order_acquire);
      if (home == index_) {
        if ((cell->flags & Cell::kScheduled) == 0) schedule(*cell);
      } else if (home < Cell::kInTransit) {
        wake_home(runtime_, *cell);  // it has moved since: forward
      }
      cell = next;
    }
  }
}

// ---- sending -------------------------------------------------------------------------------------------------------

Sent Worker::send(ActorId to, Envelope* envelope) {
  Cell& cell = table_.cell(to.slot);
  if (cell.home.load(std::memory_order_relaxed) == index_) [[likely]] {
    if (cell.generation.load(std::memory_order_relaxed) != to.generation) [[unlikely]]
      return Sent::kGone;
    return push_local(cell, envelope);
  }
  if (envelope->context != nullptr && !envelope->context->heap) {
    CallContext* copy = copy_context(&pool_, envelope->context);
    drop_context(&pool_, std::exchange(envelope->context, copy));
  }
  return push_foreign(runtime_, cell, to, envelope);
}

Status Worker::send_or_bury(ActorId to, Envelope* envelope) {
  if (!to) {
    bury(runtime_, this, envelope, DeadLetterReason::kNoActor, to);
    return {};
  }
  switch (send(to, envelope)) {
    case Sent::kOk:
      return {};
    case Sent::kGone:
      bury(runtime_, this, envelope, DeadLetterReason::kNoActor, to);
      return {};
    case Sent::kFull:
      bury(runtime_, this, envelope, DeadLetterReason::kMailboxFull, to);
      return std::unexpected(full_error());
  }
  std::unreachable();
}

Status Worker::tell(ActorId to, Envelope* envelope) {
  if (running_ != nullptr) {
    envelope->set_sender(running_->id());
    if (request_ != nullptr) inherit_request(*envelope);
    if (effects_ != nullptr) [[unlikely]] {
      effects_->sends.push_back({to, EnvelopePtr(envelope, {&pool_})});
      return {};
    }
  }
  return send_or_bury(to, envelope);
}

// What a turn sends carries on whose behalf it ran; a deadline it does not: nobody waits for it.
void Worker::inherit_request(Envelope& envelope) {
  envelope.context = new_context(&pool_);
  envelope.context->request = *request_;
}

Status Worker::tell(const ActorKey& to, Envelope* envelope) {
  if (request_ != nullptr) inherit_request(*envelope);
  if (effects_ != nullptr) {
    effects_->sends.push_back({to, EnvelopePtr(envelope, {&pool_})});
    return {};
  }
  return runtime_.deliver(envelope);
}

bool Worker::begin_ask(Wait& wait, const Context& context, ActorId to, Envelope* envelope, Duration within) {
  Cell& cell = *context.cell_;
  CallContext* above = context.input_->context;
  auto refuse = [&](Error error) {
    wait.error = std::move(error);
    destroy_envelope(&pool_, envelope);
    return false;
  };
  if (cell.extras->activation != nullptr)
    return refuse(Error(Code::kUnimplemented, "an actor with facets cannot wait in a turn", "PLX-ACT-0007"));
  if (!to) return refuse(gone_error());
  std::string cycle;
  if (to == cell.id()) cycle = fmt::format("{}", to.slot);
  for (CallContext* link = above; link != nullptr && cycle.empty(); link = link->parent)
    if (link->caller == to) cycle = fmt::format("{} -> ... -> {}", to.slot, cell.slot);
  if (!cycle.empty())
    return refuse(
        Error(Code::kFailedPrecondition,
              fmt::format("the ask closes a circle: {} -> {}; an actor that waits cannot answer", cycle, to.slot),
              "PLX-ACT-0008"));
  std::uint16_t depth = above == nullptr ? 1 : static_cast<std::uint16_t>(above->depth + 1);
  if (depth > kCallChainMax)
    return refuse(Error(Code::kFailedPrecondition, "the chain of asks is longer than 64 actors", "PLX-ACT-0009"));

  CallContext* link = new_context(&pool_);
  link->depth = depth;
  link->caller = cell.id();
  link->deadline = now_ + within;
  if (above != nullptr) {
    ++above->references;
    link->parent = above;
    link->request = above->request;
    link->deadline = std::min(link->deadline, above->deadline);
  }
  envelope->context = link;
  envelope->set_sender(cell.id());
  envelope->extension = wait.correlation = ++last_correlation_;
  TimePoint deadline = link->deadline;  // the link goes with the envelope
  Sent sent = send(to, envelope);
  if (sent != Sent::kOk) {
    // Not the dead letters' matter: the asker learns it here.
    return refuse(sent == Sent::kGone ? gone_error() : full_error());
  }
  wait.worker = this;
  wait.cell = &cell;
  wait.fire = &Worker::ask_timed_out;
  timers_.arm(wait, deadline);
  cell.extras->open->wait = &wait;
  return true;
}

void Worker::ask_timed_out(Timer& timer, void* worker) {
  auto& wait = static_cast<Wait&>(timer);
  wait.error = Error(Code::kDeadlineExceeded, "no answer in time; whether the message was handled is not known",
                     "PLX-ACT-0010", Retry::kSame);
  auto& self = *static_cast<Worker*>(worker);
  Cell& cell = *wait.cell;
  cell.extras->open->wait = nullptr;
  self.resume(*cell.extras->open, wait.handle);
  self.schedule_if_runnable(cell);
}

// ---- answers -------------------------------------------------------------------------------------------------------

Envelope* Worker::begin_reply(Envelope* request, std::size_t bytes, std::uint32_t flags) {
  // A sink may take the reply to another thread, where no pool is.
  bool to_sink = request->is(Envelope::kSink);
  flags |= Envelope::kReply | Envelope::kWide | Envelope::kSystem;
  Envelope* reply = allocate_envelope(to_sink ? nullptr : &pool_, bytes, flags);
  reply->type = request->type;
  reply->extension = request->correlation();
  reply->sender = request->sender;
  if (to_sink) reply->flags |= Envelope::kSink;
  request->flags &= ~(Envelope::kAsk | Envelope::kSink);
  return reply;
}

Envelope* Worker::error_reply(Envelope* request, Error error) {
  Envelope* reply = begin_reply(request, sizeof(Error), Envelope::kFailed);
  ::new (reply->payload()) Error(std::move(error));
  return reply;
}

Envelope* Worker::error_in_place_of(Envelope* reply, Error error) {
  Envelope* other = allocate_envelope(
      reply->is(Envelope::kSink) ? nullptr : &pool_, sizeof(Error),
      Envelope::kReply | Envelope::kFailed | Envelope::kWide | Envelope::kSystem | (reply->flags & Envelope::kSink));
  other->type = reply->type;
  other->extension = reply->extension;
  other->sender = reply->sender;
  reply->flags &= ~Envelope::kSink;
  ::new (other->payload()) Error(std::move(error));
  return other;
}

void Worker::send_reply(Envelope* reply) {
  if (reply->is(Envelope::kSink)) {
    std::unique_ptr<ReplySink> sink(reply->sink());
    reply->flags &= ~Envelope::kSink;
    sink->deliver(Answer(EnvelopePtr(reply)));
    return;
  }
  ActorId asker = reply->sender_id();
  if (send(asker, reply) != Sent::kOk) bury(runtime_, this, reply, DeadLetterReason::kLateReply, asker);
}

void Worker::complete_with(Envelope* reply) {
  if (effects_ != nullptr)
    effects_->reply = EnvelopePtr(reply, {&pool_});
  else
    send_reply(reply);
}

void Worker::complete_with_error(Envelope& request, Error error) {
  if (request.is(Envelope::kAsk)) complete_with(error_reply(&request, std::move(error)));
}

void Worker::unhandled(Context& context) {
  Envelope* input = context.input_;
  std::string name = fmt::format("{}", input->type->value != nullptr ? input->type->value->name : "?");
  Error error(
      Code::kUnimplemented,
      fmt::format("the actor does not handle {}; it handles {}", name, message_names(context.cell_->actor->handlers())),
      "PLX-ACT-0003");
  complete_with_error(*input, std::move(error));
  runtime_.count_dead_letter(this, {DeadLetterReason::kUnhandled, name, context.cell_->id(), {}, {}});
}

void Worker::bury(Runtime& runtime, Worker* worker, Envelope* envelope, DeadLetterReason reason, ActorId to) {
  DeadLetter letter{reason, {}, to, {}, {}};
  if (envelope->type != nullptr && envelope->type->value != nullptr) letter.message_type = envelope->type->value->name;
  if (envelope->context != nullptr && envelope->context->request != nullptr) {
    letter.tenant = envelope->context->request->tenant;
    letter.traceparent = envelope->context->request->traceparent;
  }
  runtime.count_dead_letter(worker, std::move(letter));
  if (envelope->is(Envelope::kAsk)) {
    Error error = reason == DeadLetterReason::kMailboxFull ? full_error()
                  : reason == DeadLetterReason::kExpired
                      ? Error(Code::kDeadlineExceeded, "the deadline had passed before the message was handled",
                              "PLX-ACT-0011", Retry::kSame)
                      : gone_error();
    if (worker != nullptr)
      worker->send_reply(worker->error_reply(envelope, std::move(error)));
    else
      answer_outside(envelope, std::move(error));
  }
  destroy_envelope(worker != nullptr ? &worker->pool_ : nullptr, envelope);
}

// ---- turns ---------------------------------------------------------------------------------------------------------

bool Worker::expired(Cell& cell, Envelope* envelope) {
  if (envelope->context == nullptr || envelope->context->deadline > now_) [[likely]]
    return false;
  bury(runtime_, this, envelope, DeadLetterReason::kExpired, cell.id());
  return true;
}

void Worker::turn(Cell& cell, Envelope* envelope) {
  if (expired(cell, envelope)) return;
  if (cell.extras != nullptr && cell.extras->activation != nullptr) [[unlikely]]
    return faceted_turn(cell, EnvelopePtr(envelope, {&pool_}));
  running_ = &cell;
  request_ = request_of(*envelope);
  input_taken_ = false;
  Context context(*this, cell, envelope);
  try {
    cell.actor->receive(context);
  } catch (const std::exception& error) {
    crash(cell, envelope, error.what());
  } catch (...) {
    crash(cell, envelope, "an exception that is not a std::exception");
  }
  running_ = nullptr;
  request_ = nullptr;
  if (!input_taken_) release_envelope(&pool_, envelope);
}

void Worker::crash(Cell& cell, Envelope* input, const std::string& what) {
  WorkerCounters::add(counters_.crashes);
  std::string name =
      cell.extras != nullptr && !cell.extras->name.empty() ? cell.extras->name : fmt::format("{}", cell.slot);
  std::string message = input->type->value != nullptr ? std::string(input->type->value->name) : std::string("?");
  std::string text = fmt::format("actor {}@{} crashed handling {}: {}", name, runtime_.node_name(), message, what);
  runtime_.log_(text);
  complete_with_error(*input, Error(Code::kInternal, std::move(text), "PLX-ACT-0012"));
  stop_cell(cell);
}

void Worker::system_turn(Cell& cell, Envelope* envelope) {
  if (envelope->is(Envelope::kReply)) {
    OpenTurn* open = cell.extras->open;
    if (open == nullptr || open->wait == nullptr || open->wait->correlation != envelope->extension) {
      // INV-M2: a reply reaches the ask that it answers, or nobody.
      bury(runtime_, this, envelope, DeadLetterReason::kLateReply, cell.id());
      return;
    }
    Wait& wait = *std::exchange(open->wait, nullptr);
    timers_.cancel(wait);
    wait.reply = envelope;
    resume(*open, wait.handle);
    return;
  }
  if (envelope->type == &kStop) {
    stop_cell(cell);
  } else {
    auto task = std::move(envelope->payload_as<Task>());
    if (Activation* activation = cell.extras->activation.get()) {
      running_ = nullptr;
      task(*activation);
    }
  }
  destroy_envelope(&pool_, envelope);
}

OpenTurn& Worker::open_turn(Context& context) {
  Cell& cell = *context.cell_;
  Extras& extras = Worker::extras(cell);
  PLX_CHECK(extras.open == nullptr, "an actor has one open turn");
  auto* open = ::new (pool_.allocate(block_class(sizeof(OpenTurn)))) OpenTurn(context);
  open->input = context.input_;
  input_taken_ = true;
  extras.open = open;
  cell.flags |= Cell::kWaiting;
  return *open;
}

void Worker::resume(OpenTurn& open, std::coroutine_handle<> handle) {
  // Also from within receive(), whose turn this is.
  Cell* outer = std::exchange(running_, open.context.cell_);
  const RequestContextPtr* outer_request = std::exchange(request_, request_of(*open.input));
  handle.resume();
  bool done = open.root.done();
  if (done) settle_open_turn(open);
  running_ = outer;
  request_ = done ? nullptr : outer_request;
}

// The handler has returned or thrown.
void Worker::settle_open_turn(OpenTurn& open) {
  Cell& cell = *open.context.cell_;
  try {
    open.complete(open);
  } catch (const std::exception& error) {
    crash(cell, open.input, error.what());
  } catch (...) {
    crash(cell, open.input, "an exception that is not a std::exception");
  }
  close_open_turn(cell);
}

void Worker::close_open_turn(Cell& cell) {
  OpenTurn* open = std::exchange(cell.extras->open, nullptr);
  cell.flags &= ~Cell::kWaiting;
  Envelope* input = open->input;
  if (open->root) open->root.destroy();
  open->~OpenTurn();
  pool_.free(open, block_class(sizeof(OpenTurn)));
  release_envelope(&pool_, input);
}

// ---- the life of an actor ------------------------------------------------------------------------------------------

Extras& Worker::extras(Cell& cell) {
  if (cell.extras == nullptr) cell.extras = new Extras;
  return *cell.extras;
}

Cell* Worker::new_cell() {
  if (free_cells_ == nullptr) free_cells_ = table_.add_chunk();
  Cell* cell = free_cells_;
  if (cell != nullptr) free_cells_ = cell->run_next;
  return cell;
}

void Worker::return_cell(Cell& cell) {
  cell.run_next = free_cells_;
  free_cells_ = &cell;
}

void* Worker::allocate_actor(Worker* worker, Cell& cell, std::size_t bytes, std::size_t align) {
  PLX_CHECK(align <= 64, "an actor is aligned to at most a cache line");
  if (bytes <= sizeof(cell.small) && align <= 8) {
    cell.flags |= Cell::kInline;
    return cell.small;
  }
  std::size_t block = block_class(bytes);
  void* memory;
  if (worker != nullptr && block < kBlockClasses) {
    memory = worker->pool_.allocate(block);
    cell.flags |= static_cast<std::uint16_t>(block << Cell::kBlockShift);
  } else {
    memory = ::operator new(bytes, std::align_val_t(64));
    cell.flags |= Cell::kHeap;
  }
  std::memcpy(cell.small, &memory, sizeof(memory));
  return memory;
}

void Worker::free_actor_memory(Worker* worker, Cell& cell) {
  if ((cell.flags & Cell::kInline) != 0) return;
  void* memory;
  std::memcpy(&memory, cell.small, sizeof(memory));
  if ((cell.flags & Cell::kHeap) != 0 || !kPoolBlocks)
    ::operator delete(memory, std::align_val_t(64));
  else if (worker != nullptr)
    worker->pool_.free(memory, cell.flags >> Cell::kBlockShift);
}

void Worker::start_cell(Cell& cell, Actor* actor) {
  cell.actor = actor;
  cell.inbox.store(Cell::idle(), std::memory_order_relaxed);
  // release: who reads a reference from this worker's messages finds the cell ready.
  cell.home.store(index_, std::memory_order_release);
  WorkerCounters::add(counters_.spawned);
}

void Worker::stop_cell(Cell& cell) {
  cell.flags |= Cell::kStopping;
  if ((cell.flags & Cell::kScheduled) == 0) schedule(cell);
}

bool Worker::close_if_idle(Cell& cell) {
  if ((cell.flags & (Cell::kScheduled | Cell::kWaiting)) != 0 || cell.head != nullptr) return false;
  if (cell.extras != nullptr && cell.extras->system_head != nullptr) return false;
  Envelope* expected = Cell::idle();
  return cell.inbox.compare_exchange_strong(expected, Cell::closed(), std::memory_order_acq_rel);
}

// The cell is in no run queue. Closes its mailbox, ends its identity, then its contents, then frees it.
void Worker::end(Cell& cell) {
  ActorId id = cell.id();
  Envelope* word = cell.inbox.exchange(Cell::closed(), std::memory_order_acq_rel);
  if (Cell::is_list(word)) {
    std::uint64_t drained = 0;
    Envelope* oldest = nullptr;
    while (word != nullptr) {
      Envelope* next = std::exchange(word->next, oldest);
      drained += kForeignMessage + word->charge;
      oldest = std::exchange(word, next);
    }
    cell.foreign.fetch_sub(drained, std::memory_order_relaxed);
    while (oldest != nullptr) {
      Envelope* next = oldest->next;
      append(cell, oldest);
      oldest = next;
    }
  }
  std::uint32_t next_generation = id.generation + 1 == 0 ? 1 : id.generation + 1;
  cell.generation.store(next_generation, std::memory_order_release);
  cell.home.store(Cell::kNobody, std::memory_order_release);

  if (cell.extras != nullptr && cell.extras->open != nullptr) {
    OpenTurn& open = *cell.extras->open;
    if (open.input->is(Envelope::kAsk)) send_reply(error_reply(open.input, gone_error()));
    close_open_turn(cell);
  }
  Envelope* queued = std::exchange(cell.head, nullptr);
  cell.tail = nullptr;
  cell.queued.store(0, std::memory_order_relaxed);
  cell.queued_bytes = 0;
  Envelope* orders = nullptr;
  std::unique_ptr<Activation> activation;
  if (cell.extras != nullptr) {
    orders = cell.extras->system_head;
    activation = std::move(cell.extras->activation);
    if (!cell.extras->name.empty()) runtime_.release_name(cell.extras->name);
    delete std::exchange(cell.extras, nullptr);
  }
  if (activation != nullptr) runtime_.directory_.remove(activation->key(), id);
  if (cell.actor != nullptr) {
    std::exchange(cell.actor, nullptr)->~Actor();
    free_actor_memory(this, cell);
  }
  bool outside = (cell.flags & Cell::kOutside) != 0;
  cell.flags = 0;
  if (outside)
    runtime_.return_outside_cell(cell);
  else
    return_cell(cell);
  WorkerCounters::add(counters_.ended);

  if (activation != nullptr && activation->again_) static_cast<void>(runtime_.activate(activation->key()));
  while (orders != nullptr) {
    Envelope* next = orders->next;
    destroy_envelope(&pool_, orders);
    orders = next;
  }
  while (queued != nullptr) {
    Envelope* next = queued->next;
    if (activation != nullptr && activation->failure_)
      answer_or_drop(queued, *activation->failure_);
    else if (activation != nullptr && queued->is(Envelope::kKeyed))
      static_cast<void>(runtime_.deliver(queued));
    else
      bury(runtime_, this, queued, DeadLetterReason::kStopped, id);
    queued = next;
  }
}

void Worker::answer_or_drop(Envelope* request, const Error& error) {
  if (request->is(Envelope::kAsk)) send_reply(error_reply(request, error));
  destroy_envelope(&pool_, request);
}

// ---- moving --------------------------------------------------------------------------------------------------------

// Gives a runnable actor, which is in no run queue, to another worker. @returns false when it has to stay.
bool Worker::give(Cell& cell, Worker& to) {
  if (cell.extras != nullptr &&
      (cell.extras->open != nullptr || cell.extras->activation != nullptr || cell.extras->system_head != nullptr))
    return false;
  if ((cell.flags & Cell::kStopping) != 0) return false;
  for (Envelope* envelope = cell.head; envelope != nullptr; envelope = envelope->next) {
    if (envelope->context == nullptr || envelope->context->heap) continue;
    CallContext* copy = copy_context(&pool_, envelope->context);
    drop_context(&pool_, std::exchange(envelope->context, copy));
  }
  // Awake while it travels: who pushes then need not wake anybody, the adopter runs it.
  Envelope* word = Cell::idle();
  cell.inbox.compare_exchange_strong(word, nullptr, std::memory_order_acq_rel);
  cell.home.store(Cell::kInTransit, std::memory_order_release);
  adopt_later(runtime_, cell, to.index_);
  WorkerCounters::add(counters_.given_away);
  return true;
}

void Worker::give_away() {
  if (options_.pick) return;
  int hungry = runtime_.hungry_worker_.exchange(-1, std::memory_order_relaxed);
  if (hungry < 0 || hungry == index_) return;
  Worker& to = *runtime_.workers_[static_cast<std::size_t>(hungry)];
  std::size_t count = std::min(runnable_ / 2, kGiveMax);
  std::size_t looked = runnable_;
  while (count > 0 && looked-- > 0) {
    Cell* cell = next_runnable();
    if (give(*cell, to))
      --count;
    else
      schedule(*cell);
  }
}

// ---- actors with facets --------------------------------------------------------------------------------------------

void Worker::activate(Cell& cell) {
  Activation& activation = *cell.extras->activation;
  activation.worker_ = this;
  activation.cell_ = &cell;
  cell.flags |= Cell::kWaiting;
  activation.replace_actor();
  for (const FacetSpec& spec : activation.type().facets)
    activation.facets_.push_back(runtime_.facets_.find(spec.name)->second.make(activation, spec.options));
  WorkerCounters::add(counters_.spawned);
  activation_ready(activation);
}

// Goes on with the facets that have not yet been told; the actor runs once all are ready.
void Worker::activation_ready(Activation& activation) {
  while (activation.activating_ < activation.facets_.size()) {
    Facet& facet = *activation.facets_[activation.activating_++];
    if (facet.on_activate(activation) == Facet::Ready::kLater) return;
  }
  activation.cell_->flags &= ~Cell::kWaiting;
  schedule_if_runnable(*activation.cell_);
}

void Worker::faceted_turn(Cell& cell, EnvelopePtr input) {
  Activation& activation = *cell.extras->activation;
  Turn turn{activation, std::move(input), nullptr, {}, {}};
  turn.handler = activation.type().find(*turn.input->type);
  for (auto& facet : activation.facets_)
    if (facet->admit(turn) == Facet::Admission::kTaken) return;

  bool erase = turn.delivery() != nullptr && turn.delivery()->erase;
  if (erase) {
    activation.replace_actor();
    if (turn.input->is(Envelope::kAsk)) turn.effects.reply = EnvelopePtr(begin_reply(turn.input.get(), 0, 0), {&pool_});
  }
  for (bool again = !erase; again;) {
    again = false;
    running_ = &cell;
    request_ = request_of(*turn.input);
    effects_ = &turn.effects;
    std::optional<std::string> thrown;
    Context context(*this, cell, turn.input.get());
    try {
      cell.actor->receive(context);
    } catch (const std::exception& error) {
      thrown = error.what();
    } catch (...) {
      thrown = "an exception that is not a std::exception";
    }
    effects_ = nullptr;
    running_ = nullptr;
    request_ = nullptr;
    if (!thrown) break;

    WorkerCounters::add(counters_.crashes);
    std::string text = fmt::format("actor {} crashed handling {}: {}", activation.key().to_string(),
                                   turn.input->type->value->name, *thrown);
    runtime_.log_(text);
    turn.error = Error(Code::kInternal, std::move(text), "PLX-ACT-0012");
    take_back_reply(turn);
    turn.effects.sends.clear();
    Facet::Recovery recovery = Facet::Recovery::kPass;
    for (auto facet = activation.facets_.rbegin();
         facet != activation.facets_.rend() && recovery == Facet::Recovery::kPass; ++facet)
      recovery = (*facet)->on_error(turn);
    if (recovery == Facet::Recovery::kRetry) {
      again = true;
    } else {
      if (turn.input->is(Envelope::kAsk))
        turn.effects.reply = EnvelopePtr(error_reply(turn.input.get(), *turn.error), {&pool_});
      if (recovery == Facet::Recovery::kPass) {
        emit(std::move(turn.effects));
        stop_cell(cell);
        return;
      }
    }
  }
  for (auto& facet : activation.facets_)
    if (facet->commit(turn) == Facet::Gate::kHeld) return;
  emit(std::move(turn.effects));
}

// The handler had answered before it threw: the request is unanswered again.
void Worker::take_back_reply(Turn& turn) {
  EnvelopePtr reply = std::move(turn.effects.reply);
  if (reply == nullptr) return;
  turn.input->flags |= Envelope::kAsk | (reply->flags & Envelope::kSink);
  reply->flags &= ~Envelope::kSink;
}

void Worker::emit(Effects effects) {
  for (Effect& effect : effects.sends) {
    Envelope* message = effect.message.release();
    if (auto* id = std::get_if<ActorId>(&effect.target))
      static_cast<void>(send_or_bury(*id, message));
    else
      static_cast<void>(runtime_.deliver(message));
  }
  if (effects.reply != nullptr) send_reply(effects.reply.release());
}

// ---- orders --------------------------------------------------------------------------------------------------------

Envelope* make_stop_order() {
  Envelope* order = allocate_envelope(nullptr, 0, Envelope::kSystem);
  order->type = &kStop;
  return order;
}

Envelope* make_task_order(std::move_only_function<void(Activation&)> function) {
  Envelope* order = allocate_envelope(nullptr, sizeof(Task), Envelope::kSystem);
  order->type = &kTask;
  ::new (order->payload()) Task(std::move(function));
  return order;
}

}  // namespace plexspaces::detail
