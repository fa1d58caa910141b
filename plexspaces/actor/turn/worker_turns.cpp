// How a worker runs turns: of plain actors, open ones, and of actors with facets.
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"

namespace plexspaces::detail {

namespace {

constexpr const char* kNotAnException = "an exception that is not a std::exception";

}  // namespace

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

// ---- turns ---------------------------------------------------------------------------------------------------------

bool Worker::expired(ActorCell& cell, Envelope* envelope) {
  if (envelope->context == nullptr || envelope->context->deadline > now_) [[likely]]
    return false;
  if (ask_deadline(*envelope) > now_) return false;
  dead_letter(runtime_, this, envelope, DeadLetterReason::kExpired, cell.id());
  return true;
}

// An actor of this worker has counted the deadline of its ask from the beginning of its batch, which may have been
// long: what its wait says is exact.
TimePoint Worker::ask_deadline(const Envelope& ask) const {
  TimePoint deadline = ask.context->deadline;
  if (!ask.is(Envelope::kAsk) || ask.is(Envelope::kSink) || ask.context->heap) return deadline;
  const ActorCell* asker = table_.find(ask.sender_id().slot);
  if (asker == nullptr || asker->home.load(std::memory_order_relaxed) != index_ || asker->id() != ask.sender_id() ||
      asker->extras == nullptr)
    return deadline;
  Wait* const* wait = link_to_wait(*asker, ask.extension);
  return wait != nullptr && (*wait)->armed() ? timers_.fires_at(**wait).value_or(deadline) : deadline;
}

// The envelope goes to another worker, which counts its deadline by its own batches.
void Worker::take_context_along(Envelope& envelope) {
  if (envelope.context == nullptr || envelope.context->heap) return;
  TimePoint deadline = envelope.context->deadline;
  if (deadline != kNever) {
    TimePoint exact = ask_deadline(envelope);
    deadline = exact != deadline ? exact : saturating_add(deadline, fresh_now() - now_);
  }
  CallContext* copy = copy_context(&pool_, envelope.context);
  copy->deadline = deadline;
  drop_context(&pool_, std::exchange(envelope.context, copy));
}

// Inlined into each turn: a call of its own is one twentieth of a hop.
[[gnu::always_inline]] inline void Worker::handle(ActorCell& cell, Envelope* envelope) {
  running_message_ = envelope->type;
  request_ = request_of(*envelope);
  Context context(*this, cell, envelope);
  try {
    cell.actor->receive(context);
  } catch (const std::exception& error) {
    crash(cell, envelope, error.what());
  } catch (...) {
    crash(cell, envelope, kNotAnException);
  }
}

void Worker::turn(ActorCell& cell, Envelope* envelope) {
  if (expired(cell, envelope)) return;
  if (cell.extras != nullptr && cell.extras->activation != nullptr) [[unlikely]]
    return faceted_turn(cell, EnvelopePtr(envelope, {&pool_}));
  running_ = &cell;
  input_taken_ = false;
  handle(cell, envelope);
  running_ = nullptr;
  request_ = nullptr;
  if (!input_taken_) release_envelope(&pool_, envelope);
}

void Worker::handle_in_place_of_input(ActorCell& cell, EnvelopePtr message) {
  handle(cell, message.get());
  if (std::exchange(input_taken_, false)) static_cast<void>(message.release());
}

std::string Worker::describe(const ActorCell& cell) const {
  bool named = cell.extras != nullptr && !cell.extras->name.empty();
  return fmt::format("{}@{}", named ? cell.extras->name : std::to_string(cell.slot), runtime_.node_name());
}

std::string Worker::log_crash(const ActorCell& cell, std::string_view during, std::string_view what) {
  WorkerCounters::add(counters_.crashes);
  std::string text = fmt::format("actor {} crashed {}: {}", describe(cell), during, what);
  runtime_.log_(text);
  return text;
}

void Worker::crash(ActorCell& cell, Envelope* input, std::string_view what) {
  bool last = (cell.flags & ActorCell::kLastTurn) != 0;
  std::string_view message = input->type->value != nullptr ? input->type->value->name : "?";
  std::string text = log_crash(cell, last ? "in on_stop()" : fmt::format("handling {}", message), what);
  complete_with_error(*input, Error(Code::kInternal, std::move(text), "PLX-ACT-0012"));
  stop_crashed(cell, what);
}

void Worker::stop_crashed(ActorCell& cell, std::string_view what) {
  if (lists_of(cell) != nullptr || (cell.flags & ActorCell::kStopHook) != 0)
    exit_lists(cell).reason = ExitReason::error(what);
  stop_cell(cell);
}

void Worker::system_turn(ActorCell& cell, Envelope* envelope) {
  bool reply = envelope->is(Envelope::kReply);
  if (reply || envelope->type == &message_info<Down>()) {
    Wait** link = link_to_wait(cell, reply ? envelope->extension : envelope->payload_as<Down>().monitor.id);
    if (link == nullptr) [[unlikely]] {
      // INV-M2: a reply reaches the ask that it answers, or nobody.
      if (reply) return dead_letter(runtime_, this, envelope, DeadLetterReason::kLateReply, cell.id());
      return destroy_envelope(&pool_, envelope);
    }
    SuspendedTurn& open = *cell.extras->open;
    Wait& wait = **link;
    *link = wait.next;
    timers_.cancel(wait);
    wait.reply = envelope;
    if (open.wait == nullptr) resume(open, wait.handle);
    return;
  }
  Activation* activation = cell.extras->activation.get();
  if (envelope->type == &kStopMessage) {
    set_reason(cell, ExitReason::shutdown());
    ask_to_stop(cell);
  } else if (is_peer_message(*envelope)) {
    exit_turn(cell, envelope);
  } else if (activation != nullptr) {
    envelope->payload_as<ActivationTask>()(*activation);
  }
  destroy_envelope(&pool_, envelope);
  if (activation != nullptr && activation->stop_asked_) activation->stop_when_settled();
}

SuspendedTurn& Worker::open_turn(Context& context) {
  ActorCell& cell = *context.cell_;
  Extras& extras = Worker::extras(cell);
  PLX_CHECK(extras.open == nullptr, "an actor has one open turn");
  auto* open = ::new (pool_.allocate(block_class(sizeof(SuspendedTurn)))) SuspendedTurn(context);
  open->input = context.input_;
  input_taken_ = true;
  extras.open = open;
  cell.flags |= ActorCell::kWaiting;
  return *open;
}

// The link that leads to the wait; null: the actor has no such wait.
Wait** Worker::link_to_wait(const ActorCell& cell, std::uint64_t correlation) {
  SuspendedTurn* open = cell.extras->open;
  if (open == nullptr) return nullptr;
  Wait** link = &open->wait;
#ifdef PLX_BUG_REPLY_TO_WHOEVER_WAITS
  return *link != nullptr ? link : nullptr;
#endif
  for (; *link != nullptr; link = &(*link)->next)
    if ((*link)->correlation == correlation) [[likely]]
      return link;
  return nullptr;
}

bool Worker::end_wait(SuspendedTurn& open, Wait& wait) {
  Wait** at = &open.wait;
  while (*at != &wait) [[unlikely]]
    at = &(*at)->next;
  *at = wait.next;
  return open.wait == nullptr;
}

void Worker::resume(SuspendedTurn& open, std::coroutine_handle<> handle) {
  // Also from within receive(), whose turn this is.
  ActorCell* outer = std::exchange(running_, open.context.cell_);
  const MessageInfo* outer_message = std::exchange(running_message_, open.input->type);
  const RequestContextPtr* outer_request = std::exchange(request_, request_of(*open.input));
  handle.resume();
  bool done = open.root.done();
  if (done) settle_open_turn(open);
  running_ = outer;
  running_message_ = outer_message;
  request_ = done ? nullptr : outer_request;
}

// The handler has thrown before it was a coroutine: the turn is a plain one again.
void Worker::abandon_open_turn(Context& context) {
  ActorCell& cell = *context.cell_;
  SuspendedTurn* open = std::exchange(cell.extras->open, nullptr);
  cell.flags &= ~ActorCell::kWaiting;
  input_taken_ = open->input_kept;
  open->~SuspendedTurn();
  pool_.free(open, block_class(sizeof(SuspendedTurn)));
}

// The handler has returned or thrown.
void Worker::settle_open_turn(SuspendedTurn& open) {
  ActorCell& cell = *open.context.cell_;
  try {
    open.complete(open);
  } catch (const std::exception& error) {
    crash(cell, open.input, error.what());
  } catch (...) {
    crash(cell, open.input, kNotAnException);
  }
  close_open_turn(cell);
}

void Worker::close_open_turn(ActorCell& cell) {
  SuspendedTurn* open = std::exchange(cell.extras->open, nullptr);
  cell.flags &= ~ActorCell::kWaiting;
  Envelope* input = open->input;
  if (open->root) open->root.destroy();
  bool kept = open->input_kept;
  open->~SuspendedTurn();
  pool_.free(open, block_class(sizeof(SuspendedTurn)));
  if (!kept) release_envelope(&pool_, input);
}

// The actor ends while a turn waits: its asker learns that nobody answers.
void Worker::drop_open_turn(ActorCell& cell) {
  if (cell.extras == nullptr || cell.extras->open == nullptr) return;
  Envelope* input = cell.extras->open->input;
  if (input->is(Envelope::kAsk)) send_reply(error_reply(input, runtime_.end_error()));
  close_open_turn(cell);
}

// ---- the first turn and the last -----------------------------------------------------------------------------------

Status Worker::run_on_start(ActorCell& cell) {
  cell.flags &= ~ActorCell::kStartHook;
  EnvelopePtr input(make_system_message(&pool_, kStartMessage), {&pool_});
  if (request_ != nullptr) inherit_request(*input, *request_);
  // Also within the turn of the actor that starts it.
  ActorCell* outer = std::exchange(running_, &cell);
  const MessageInfo* outer_message = std::exchange(running_message_, &kStartMessage);
  const RequestContextPtr* outer_request = std::exchange(request_, request_of(*input));
  Effects* outer_effects = std::exchange(effects_, recorder_ != nullptr ? &recorded_ : nullptr);
  Status started;
  std::optional<std::string> thrown;
  Context context(*this, cell, input.get());
  try {
    started = cell.actor->on_start(context);
  } catch (const std::exception& error) {
    thrown = error.what();
  } catch (...) {
    thrown = kNotAnException;
  }
  if (thrown) started = fail(Code::kInternal, log_crash(cell, "in on_start()", *thrown), "PLX-ACT-0012");
  running_ = outer;
  running_message_ = outer_message;
  request_ = outer_request;
  effects_ = outer_effects;
  return started;
}

Status Worker::start_or_end(ActorCell& cell) {
  Status started = run_on_start(cell);
  if (started) return started;
  disown_child(cell);
  if (ExitLinks* lists = lists_of(cell)) lists->reason = ExitReason::error(started.error().message());
  if ((cell.flags & ActorCell::kScheduled) != 0) run_queue_.remove(cell);
  end(cell);
  return started;
}

void Worker::start_adopted(ActorCell& cell) {
  Status started = run_on_start(cell);
  if (started) return;
  if (started.error().domain() != "PLX-ACT-0012")  // what was thrown is in the log already
    runtime_.log_(fmt::format("actor {} did not start: {}", describe(cell), started.error().message()));
  if (ExitLinks* lists = lists_of(cell)) lists->reason = ExitReason::error(started.error().message());
  cell.flags = static_cast<std::uint16_t>((cell.flags & ~ActorCell::kStopHook) | ActorCell::kStopping);
}

// Nothing that is queued comes between the last turn and the end. @returns whether the actor has ended.
bool Worker::end_as_told(ActorCell& cell) {
  while (is_ending(cell)) {
    if (begin_last_turn(cell)) continue;
    end(cell);
    return true;
  }
  return false;
}

// The actor has been told to end and no turn of it runs. @returns whether it has a last turn, which may be over.
bool Worker::begin_last_turn(ActorCell& cell) {
  if ((cell.flags & ActorCell::kStopHook) == 0) return false;
  ExitLinks& lists = exit_lists(cell);
  cell.flags &= ~ActorCell::kStopHook;
  drop_open_turn(cell);
  cell.flags = static_cast<std::uint16_t>((cell.flags & ~ActorCell::kExiting) | ActorCell::kLastTurn);
  Envelope* input = make_system_message(&pool_, kStopMessage);
  running_ = &cell;
  Context context(*this, cell, input);
  SuspendedTurn& open = open_turn(context);
  open.complete = [](SuspendedTurn& turn) {
    std::coroutine_handle<Promise<void>>::from_address(turn.root.address()).promise().take();
  };
  try {
    open.root = cell.actor->on_stop(open.context, lists.reason).release();
    resume(open, open.root);
  } catch (const std::exception& error) {  // from before the coroutine
    crash(cell, input, error.what());
    close_open_turn(cell);
  } catch (...) {
    crash(cell, input, kNotAnException);
    close_open_turn(cell);
  }
  running_ = nullptr;
  return true;
}

// ---- actors with facets --------------------------------------------------------------------------------------------

void Worker::activate(ActorCell& cell) {
  Activation& activation = *cell.extras->activation;
  activation.worker_ = this;
  activation.cell_ = &cell;
  cell.flags |= ActorCell::kWaiting;
  WorkerCounters::add(counters_.spawned);
  if (Status made = activation.replace_actor(); !made) return activation.failed(std::move(made).error());
  for (const FacetSpec& spec : activation.type().facets)
    activation.facets_.push_back(runtime_.facets_.find(spec.name)->second.make(activation, spec.options));
  activation_ready(activation);
}

// Goes on with the facets that have not yet been told; the actor runs once all are ready.
void Worker::activation_ready(Activation& activation) {
  while (activation.activating_ < activation.facets_.size()) {
    Facet& facet = *activation.facets_[activation.activating_++];
    if (facet.on_activate(activation) == Facet::Ready::kLater) return;
  }
  activation.cell_->flags &= ~ActorCell::kWaiting;
  schedule_if_runnable(*activation.cell_);
}

void Worker::faceted_turn(ActorCell& cell, EnvelopePtr input) {
  Activation& activation = *cell.extras->activation;
  run_through_facets(cell, activation, std::move(input));
  if (activation.stop_asked_) activation.stop_when_settled();
}

void Worker::run_through_facets(ActorCell& cell, Activation& activation, EnvelopePtr input) {
  Turn turn{activation, std::move(input), nullptr, {}, {}};
  turn.handler = activation.type().find(*turn.input->type);
  for (auto& facet : activation.facets_)
    if (facet->admit(turn) == Facet::Admission::kTaken) return;

  bool erase = turn.delivery() != nullptr && turn.delivery()->erase;
  if (erase) {
    if (Status made = activation.replace_actor(); !made) {
      activation.answer(std::move(turn.input), made.error());
      return activation.failed(std::move(made).error());
    }
    if (turn.input->is(Envelope::kAsk)) turn.effects.reply = EnvelopePtr(begin_reply(turn.input.get(), 0, 0), {&pool_});
  }
  for (bool again = !erase; again;) {
    again = false;
    running_ = &cell;
    running_message_ = turn.input->type;
    request_ = request_of(*turn.input);
    effects_ = &turn.effects;
    std::optional<std::string> thrown;
    Context context(*this, cell, turn.input.get());
    try {
      cell.actor->receive(context);
    } catch (const std::exception& error) {
      thrown = error.what();
    } catch (...) {
      thrown = kNotAnException;
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
        if (cell.extras->exits != nullptr) cell.extras->exits->reason = ExitReason::error(*thrown);
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
  turn.input->sender = reply->sender;
  reply->flags &= ~Envelope::kSink;
}

void Worker::emit(Effects effects) {
  for (Effect& effect : effects.sends) {
    Envelope* message = effect.message.release();
    if (auto* id = std::get_if<ActorId>(&effect.target))
      static_cast<void>(send_or_dead_letter(*id, message));
    else
      static_cast<void>(runtime_.deliver(message));
  }
  if (effects.reply != nullptr) send_reply(effects.reply.release());
}

}  // namespace plexspaces::detail
