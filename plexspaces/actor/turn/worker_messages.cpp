// How a worker sends, asks and answers.
#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/lifecycle/cell_table.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/actor/recorder.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/actor/scheduler/worker.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces::detail {

namespace {

Error circle_error(ActorId asker, ActorId asked) {
  std::string circle = asker == asked ? fmt::format("{0} -> {0}", asked.slot)
                                      : fmt::format("{0} -> ... -> {1} -> {0}", asked.slot, asker.slot);
  return Error(Code::kFailedPrecondition,
               fmt::format("the ask closes a circle: {}; an actor that waits cannot answer", circle), "PLX-ACT-0008");
}

Error chain_error() {
  return Error(Code::kFailedPrecondition, fmt::format("the chain of asks is longer than {} actors", kCallChainMax),
               "PLX-ACT-0009");
}

// The answer to an ask goes back to an actor of this process, whatever runtime or thread it comes from.
class ActorSink final : public ReplySink {
 public:
  ActorSink(NodeId node, ActorId asker, std::uint64_t correlation)
      : node_(node), asker_(asker), correlation_(correlation) {}

  void deliver(Answer answer) override {
    Runtime* runtime = Runtime::of(node_);
    if (runtime == nullptr) return;
    Envelope* reply = std::move(answer).release().release();
    reply->set_sender(asker_);
    reply->extension = correlation_;
    runtime->send_reply_from_external(reply);
  }

 private:
  NodeId node_;
  ActorId asker_;
  std::uint64_t correlation_;
};

}  // namespace

// ---- sending -------------------------------------------------------------------------------------------------------

Sent Worker::send(ActorId to, Envelope* envelope) {
  ActorCell* cell = table_.find(to.slot);
  if (cell == nullptr) [[unlikely]]
    return Sent::kGone;
  if (cell->home.load(std::memory_order_relaxed) == index_) [[likely]] {
    if (cell->generation.load(std::memory_order_relaxed) != to.generation) [[unlikely]]
      return Sent::kGone;
    return push_local(*cell, envelope);
  }
  return send_cross_worker(*cell, to, envelope);
}

// Apart from send(), whose straight path it would slow down.
[[gnu::noinline]] Sent Worker::send_cross_worker(ActorCell& cell, ActorId to, Envelope* envelope) {
  if (envelope->context != nullptr) take_context_along(*envelope);
  return push_cross_worker(runtime_, cell, to, envelope);
}

Status Worker::check_own_message(const ActorCell& cell, const MessageInfo& message) const {
  if (cell.extras != nullptr && cell.extras->activation != nullptr)
    return fail(Code::kUnimplemented, "an actor that is addressed by key has no timers, and sends itself nothing first",
                "PLX-ACT-0031");
  return must_handle(cell, message);
}

Status Worker::continue_with(ActorCell& cell, Envelope* message) {
  EnvelopePtr owned(message, {&pool_});
  PLX_TRY_STATUS(check_own_message(cell, *message->type));
  message->set_sender(cell.id());
  if (request_ != nullptr) inherit_request(*message, *request_);
  // Its own mailbox tells what was sent first from what was unstashed, and how many there are.
  make_own_mailbox(cell);
  if (cell.extras->mailbox->urgent >= options_.stash_max + kContinuationsMax)
    return std::unexpected(too_many_continuations_error());
  prepend_any(cell, owned.release());
  schedule_if_runnable(cell);
  return {};
}

TellStatus Worker::send_or_dead_letter(ActorId to, Envelope* envelope) {
  Sent sent = send(to, envelope);  // no cell has the generation of nobody
  if (sent == Sent::kOk) [[likely]]
    return {};
  return refused(runtime_, this, envelope, sent, to);
}

// What has become of a message that was not taken.
TellStatus Worker::refused(Runtime& runtime, Worker* worker, Envelope* envelope, Sent sent, ActorId to) {
  if (sent == Sent::kGone || sent == Sent::kDropped) {
    dead_letter(runtime, worker, envelope,
                sent == Sent::kGone ? DeadLetterReason::kNoActor : DeadLetterReason::kDroppedNewest, to);
    return {};
  }
  dead_letter(runtime, worker, envelope, DeadLetterReason::kMailboxFull, to);
  bool blocks = runtime.mailbox_kind(*runtime.table_.find(to.slot)).overflow == Overflow::kBlock;
  return std::unexpected(blocks ? mailbox_blocks_error() : mailbox_full_error());
}

TellStatus Worker::tell_within(ActorId to, Envelope* envelope, Duration within) {
  if (envelope->charge > runtime_.message_units_max()) return refuse_large(to, envelope);
  envelope->context = new_context(&pool_);
  envelope->context->until_handled = true;
  envelope->context->deadline = saturating_add(fresh_now(), within);
  if (request_ != nullptr) envelope->context->request = *request_;
  if (running_ != nullptr) envelope->set_sender(running_->id());
  if (effects_ != nullptr) return keep(to, envelope);
  return send_or_dead_letter(to, envelope);
}

bool Worker::refuse_large_ask(Wait& wait, ActorId to, Envelope* envelope) {
  wait.error = too_large_error(envelope->bytes(), options_);
  count_dead_letter(*envelope, DeadLetterReason::kTooLarge, to);
  destroy_envelope(&pool_, envelope);
  return false;
}

TellStatus Worker::refuse_large(ActorId to, Envelope* envelope) {
  Error error = too_large_error(envelope->bytes(), options_);
  dead_letter(runtime_, this, envelope, DeadLetterReason::kTooLarge, to);
  return std::unexpected(std::move(error));
}

TellStatus Worker::tell(ActorId to, Envelope* envelope) {
  if (const ActorCell* running = running_; running != nullptr) {
    envelope->set_sender(running->id());
    if (request_ != nullptr) inherit_request(*envelope, *request_);
    if (effects_ != nullptr) [[unlikely]]
      return keep(to, envelope);
  }
  // Not send_or_dead_letter(): a call of its own is one twentieth of a hop.
  Sent sent = send(to, envelope);
  if (sent == Sent::kOk) [[likely]]
    return {};
  return refused(runtime_, this, envelope, sent, to);
}

// What is sent leaves later, or goes to the test. Takes it.
TellStatus Worker::keep(std::variant<ActorId, ActorKey> to, Envelope* envelope) {
  EnvelopePtr message(envelope, {&pool_});
  if (recorder_ != nullptr)
    recorder_->told(std::move(to), std::move(message));
  else
    effects_->sends.push_back({std::move(to), std::move(message)});
  return {};
}

// What a turn sends carries on whose behalf it ran; a deadline it does not: nobody waits for it.
void Worker::inherit_request(Envelope& envelope, const RequestContextPtr& request) {
  envelope.context = new_context(&pool_);
  envelope.context->request = request;
}

TellStatus Worker::tell(const ActorKey& to, Envelope* envelope) {
  if (Status valid = to.check(); !valid) {
    dead_letter(runtime_, this, envelope, DeadLetterReason::kNoActor, {});
    return TellStatus(std::move(valid));
  }
  if (request_ != nullptr) inherit_request(*envelope, *request_);
  if (effects_ != nullptr) return keep(to, envelope);
  return TellStatus(runtime_.deliver(envelope));
}

bool Worker::begin_ask(Wait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                       Duration within) {
  ActorCell& cell = *context.cell_;
  CallContext* above = context.input_->context;
  auto refuse = [&](Error error) {
    wait.error = std::move(error);
    destroy_envelope(&pool_, envelope);
    return false;
  };
  bool here = node == node_id_;
  if (!to) [[unlikely]]
    return refuse(gone_error());
  std::uint16_t depth = 1;
  if (to.slot == cell.slot && here && to == cell.id()) [[unlikely]]
    return refuse(circle_error(cell.id(), to));
  if (above != nullptr) {
    depth = static_cast<std::uint16_t>(above->depth + 1);
    for (const CallContext* link = above; link != nullptr; link = link->parent)
      if (link->caller == to && link->node == node) [[unlikely]]
        return refuse(circle_error(cell.id(), to));
    if (depth > kCallChainMax) [[unlikely]]
      return refuse(chain_error());
  }
  if (!here) [[unlikely]]
    return begin_ask_elsewhere(wait, context, depth, node, to, envelope, within);

  CallContext* link = new_context(&pool_);
  link->depth = depth;
  link->caller = cell.id();
  link->node = node;
  link->deadline = saturating_add(now_, within);
  if (above != nullptr) {
    ++above->references;
    link->parent = above;
    link->request = above->request;
    if (!above->until_handled && above->deadline < link->deadline)
      link->deadline = std::min(link->deadline, ask_deadline(*context.input_));
  }
  envelope->context = link;
  envelope->set_sender(cell.id());
  envelope->extension = wait.correlation = ++last_correlation_;
  TimePoint deadline = link->deadline;  // the link goes with the envelope
  Sent sent = Sent::kOk;
  if (recorder_ != nullptr) [[unlikely]]
    recorder_->asked(to, EnvelopePtr(envelope, {&pool_}));
  else
    sent = send(to, envelope);
  if (sent != Sent::kOk) {
    DeadLetterReason reason = sent == Sent::kGone ? DeadLetterReason::kNoActor : DeadLetterReason::kMailboxFull;
    count_dead_letter(*envelope, reason, to);
    return refuse(dead_letter_error(reason));
  }
  begin_wait(wait, cell, &Worker::wait_timed_out);
  // No clock is read for an ask, which hardly ever times out: it counts from the end of the batch.
  if (deadline != kNever) timers_.arm_within(wait, deadline - now_);
  return true;
}

// An ask of an actor of another runtime. Whatever becomes of it comes as the answer.
bool Worker::begin_ask_elsewhere(Wait& wait, const Context& context, std::uint16_t depth, NodeId node, ActorId to,
                                 Envelope* envelope, Duration within) {
  ActorCell& cell = *context.cell_;
  const CallContext* above = context.input_->context;
  Runtime* other = Runtime::of(node);
  if (other == nullptr) {
    wait.error = runtime_ended_error();
    destroy_envelope(&pool_, envelope);
    return false;
  }
  CallContext* link = new_context(nullptr);
  link->depth = depth;
  link->caller = cell.id();
  link->node = node_id_;
  Duration left = within;
  if (above != nullptr) {
    link->parent = copy_context(nullptr, above);
    link->request = above->request;
    if (!above->until_handled && above->deadline != kNever)
      left = std::min(left, ask_deadline(*context.input_) - fresh_now());
  }
  link->deadline = saturating_add(other->executor().now(), left);
  envelope->context = link;
  envelope->extension = wait.correlation = ++last_correlation_;
  envelope->ask_for(std::make_unique<ActorSink>(node_id_, cell.id(), wait.correlation));
  begin_wait(wait, cell, left, &Worker::wait_timed_out);
  static_cast<void>(other->send(to, envelope));
  return true;
}

// A message with which a turn waits for room at an actor of another runtime.
bool Worker::begin_send_elsewhere(SendWait& wait, const Context& context, NodeId node, ActorId to, Envelope* envelope,
                                  Duration within) {
  ActorCell& cell = *context.cell_;
  Runtime* other = Runtime::of(node);
  if (other == nullptr) {
    wait.error = runtime_ended_error();
    destroy_envelope(&pool_, envelope);
    return false;
  }
  if (request_ != nullptr) {
    envelope->context = new_context(nullptr);
    envelope->context->request = *request_;
  }
  wait.correlation = ++last_correlation_;
  auto decision =
      other->send_or_offer(to, envelope, std::make_unique<ActorSink>(node_id_, cell.id(), wait.correlation));
  if (!decision) wait.error = std::move(decision).error();
  if (!decision || *decision == nullptr) return false;
  wait.decision = *std::move(decision);
  begin_wait(wait, cell, within, &Worker::send_timed_out);
  return true;
}

// ---- waits ---------------------------------------------------------------------------------------------------------

void Worker::begin_wait(Wait& wait, ActorCell& cell, void (*fire)(Timer& timer, void* worker)) {
  wait.worker = this;
  wait.cell = &cell;
  wait.fire = fire;
  wait.next = std::exchange(cell.extras->open->wait, &wait);
}

void Worker::begin_wait(Wait& wait, ActorCell& cell, Duration within, void (*fire)(Timer& timer, void* worker)) {
  begin_wait(wait, cell, fire);
  arm_from_now(wait, within);
}

void Worker::resume_after(Wait& wait) {
  ActorCell& cell = *wait.cell;
  if (!end_wait(*cell.extras->open, wait)) return;
  resume(*cell.extras->open, wait.handle);
  schedule_if_runnable(cell);
}

void Worker::wait_timed_out(Timer& timer, void* worker) {
  auto& wait = static_cast<Wait&>(timer);
  wait.error = no_answer_error();
  static_cast<Worker*>(worker)->resume_after(wait);
}

void Worker::begin_sleep(Wait& wait, ActorCell& cell, Duration duration) {
  begin_wait(wait, cell, duration, &Worker::slept);
}

void Worker::slept(Timer& timer, void* worker) {
  static_cast<Worker*>(worker)->resume_after(static_cast<Wait&>(timer));
}

std::uint64_t Worker::next_correlation() {
#ifdef PLX_BUG_CORRELATION_REUSED
  return last_correlation_;
#endif
  return ++last_correlation_;
}

void Worker::begin_blocking_wait(Wait& wait, ActorCell& cell, std::uint64_t correlation, Duration within) {
  wait.correlation = correlation;
  begin_wait(wait, cell, within, &Worker::blocked_too_long);
}

void Worker::blocked_too_long(Timer& timer, void* worker) {
  auto& wait = static_cast<Wait&>(timer);
  wait.error = Error(Code::kDeadlineExceeded, "the blocking call takes longer: it goes on, its result will be dropped",
                     "PLX-ACT-0052");
  static_cast<Worker*>(worker)->resume_after(wait);
}

Envelope* BlockingCall::make_error(const MessageInfo& type, Error error) const {
  Envelope* answer = make_answer(type, sizeof(Error), Envelope::kFailed);
  ::new (answer->payload()) Error(std::move(error));
  return answer;
}

Error blocking_threw_error(const char* what) {
  return Error(Code::kInternal, fmt::format("the blocking call threw: {}", what), "PLX-ACT-0051");
}

// ---- answers -------------------------------------------------------------------------------------------------------

// The request is answered, or another holds its answer: whom it came from it still tells, but for a sink.
void Worker::forget_asker(Envelope& request) {
  if (request.is(Envelope::kSink)) request.sender = 0;
  request.flags &= ~(Envelope::kAsk | Envelope::kSink);
}

Envelope* Worker::begin_reply(Envelope* request, std::size_t bytes, std::uint32_t flags) {
  std::uint32_t sink = request->flags & Envelope::kSink;
  Envelope* reply = allocate_reply(sink != 0 ? nullptr : &pool_, request->type, request->sender, request->correlation(),
                                   bytes, flags | sink);
  // A reply that comes too late is a dead letter of that tenant.
  if (request_of(*request) != nullptr && sink == 0) inherit_request(*reply, *request_of(*request));
  forget_asker(*request);
  return reply;
}

Envelope* Worker::error_reply(Envelope* request, Error error) {
  Envelope* reply = begin_reply(request, sizeof(Error), Envelope::kFailed);
  ::new (reply->payload()) Error(std::move(error));
  return reply;
}

Envelope* Worker::error_in_place_of(Envelope* reply, Error error) {
  std::uint32_t sink = reply->flags & Envelope::kSink;
  Envelope* other = allocate_reply(sink != 0 ? nullptr : &pool_, reply->type, reply->sender, reply->extension,
                                   sizeof(Error), Envelope::kFailed | sink);
  reply->flags &= ~Envelope::kSink;
  ::new (other->payload()) Error(std::move(error));
  return other;
}

Asker Worker::defer(Envelope& request) {
  // Such a reply would leave before the commit of its turn (INV-J1), and no duplicate would find it. Types refuses
  // handlers that return NoReply; this one calls defer() though it returns its reply.
  if (effects_ != nullptr && recorder_ == nullptr)
    throw std::logic_error(
        "an actor that is addressed by key cannot answer later: return the reply, without ctx.defer()");
  if (!request.is(Envelope::kAsk)) return {};
  Asker asker{request.type, runtime_.node_id(), request.is(Envelope::kSink), request.sender, request.correlation()};
  forget_asker(request);
  return asker;
}

void Worker::forward(const Context& context, NodeId node, ActorId to, Envelope* message) {
  EnvelopePtr owned(message, {&pool_});
  if (effects_ != nullptr && recorder_ == nullptr)
    throw std::logic_error("an actor that is addressed by key cannot forward: its answer is part of its turn's commit");
  Envelope& input = *context.input_;
  if (input.is(Envelope::kAsk) && input.type->reply != message->type->reply)
    return complete_with_error(input, Error(Code::kInternal,
                                            fmt::format("{} is forwarded as {}, which has another Reply",
                                                        input.type->value->name, message->type->value->name),
                                            "PLX-ACT-0060"));
  if (recorder_ != nullptr) {
    // Whom it goes to does not exist, so nobody can answer.
    complete_with_error(input, Error(Code::kUnknown, "the message was forwarded; whoever got it is played by the test",
                                     "PLX-ACT-0062"));
    message->set_sender(context.cell_->id());
    return recorder_->told(to, std::move(owned));
  }
  message->sender = input.sender;
  if (input.is(Envelope::kAsk)) {
    message->flags |= input.flags & (Envelope::kAsk | Envelope::kSink);
    message->extension = input.correlation();
  }
  // A copy, as the two go to different workers and each counts its own references.
  message->context = copy_context(&pool_, input.context);
  forget_asker(input);
  owned.release();
  if (message->charge > runtime_.message_units_max())
    dead_letter(runtime_, this, message, DeadLetterReason::kTooLarge, to);
  else if (node != runtime_.node_id())
    dead_letter(runtime_, this, message, DeadLetterReason::kNoActor, to);
  else
    send_or_dead_letter(to, message);
}

void Worker::send_reply(Envelope* reply) {
  if (reply->is(Envelope::kSink)) return deliver_to_sink(reply);
  ActorId asker = reply->sender_id();
  if (send(asker, reply) != Sent::kOk) dead_letter(runtime_, this, reply, DeadLetterReason::kLateReply, asker);
}

void Worker::complete_with(Envelope* reply) {
  if (effects_ != nullptr && recorder_ == nullptr)
    effects_->reply = EnvelopePtr(reply, {&pool_});
  else
    send_reply(reply);
}

void Worker::complete_with_error(Envelope& request, Error error) {
  if (request.is(Envelope::kAsk)) complete_with(error_reply(&request, std::move(error)));
}

// When nobody asked, nobody learns of it but the log, whose lines become rarer as they become many.
void Worker::fail_turn(const Context& context, Error error) {
  if (context.input_->is(Envelope::kAsk)) return complete_with_error(*context.input_, std::move(error));
  WorkerCounters::add(counters_.handler_errors);
  std::uint64_t errors = counters_.handler_errors.load(std::memory_order_relaxed);
  if (!std::has_single_bit(errors)) return;
  const ValueType* message = context.input_->type->value;
  runtime_.log_(
      fmt::format("actor {} returned an error for {}, for which nobody asked: {} ({} such errors of this worker)",
                  describe(*context.cell_), message != nullptr ? message->name : "?", error.to_string(), errors));
}

void Worker::unhandled(Context& context, std::string_view where) {
  Envelope* input = context.input_;
  // What the runtime itself has put among the user messages: no behaviour knows it, so it costs no other message a
  // look.
  if (input->type == &kTickMessage) return tick(*context.cell_, input->payload_as<TimerRef>());
  if (input->type == &kParentExitMessage) return exit(*context.cell_, std::move(input->payload_as<ExitReason>()));
  std::string name = fmt::format("{}", input->type->value != nullptr ? input->type->value->name : "?");
  Error error(Code::kUnimplemented,
              fmt::format("the actor does not handle {}{}; it handles {}", name, where,
                          message_names(context.cell_->actor->handlers())),
              "PLX-ACT-0003");
  complete_with_error(*input, std::move(error));
  count_dead_letter(*input, DeadLetterReason::kUnhandled, context.cell_->id());
}

DeadLetter Worker::letter_of(Runtime& runtime, const Envelope& envelope, DeadLetterReason reason, ActorId to) {
  DeadLetter letter{reason, {}, to, {}, {}};
  if (envelope.type != nullptr && envelope.type->value != nullptr) letter.message_type = envelope.type->value->name;
  bool asked = envelope.context != nullptr && envelope.context->request != nullptr;
  const RequestContext& request = asked ? *envelope.context->request : *runtime.default_request();
  letter.tenant = !asked && envelope.is(Envelope::kKeyed) && !envelope.is(Envelope::kReply)
                      ? envelope.delivery()->target.tenant
                      : request.tenant;
  letter.traceparent = request.traceparent;
  return letter;
}

void Worker::count_dead_letter(const Envelope& envelope, DeadLetterReason reason, ActorId to) {
  runtime_.count_dead_letter(this, envelope, reason, to);
}

void Worker::dead_letter(Runtime& runtime, Worker* worker, Envelope* envelope, DeadLetterReason reason, ActorId to) {
  if (is_peer_message(*envelope)) [[unlikely]] {
    // Not the dead letters' matter: who must know learns it. From outside every worker come exit signals only.
    if (worker != nullptr) return worker->refuse_system_message(envelope);
    return destroy_envelope(nullptr, envelope);
  }
  // No messages: an order of the runtime itself (stop), and the answer of a send whose sender has ended.
  bool order = envelope->is(Envelope::kSystem) && !envelope->is(Envelope::kReply);
  bool answer_to_send = envelope->is(Envelope::kReply) && envelope->type == &kSendMessage;
  if (!order && !answer_to_send) runtime.count_dead_letter(worker, *envelope, reason, to);
  if (envelope->is(Envelope::kAsk)) {
    Error error = reason == DeadLetterReason::kTooLarge ? too_large_error(envelope->bytes(), runtime.options())
                  : runtime.ending()                    ? dropped_error()
                                                        : dead_letter_error(reason);
    if (worker != nullptr)
      worker->send_reply(worker->error_reply(envelope, std::move(error)));
    else if (envelope->is(Envelope::kSink))
      answer_external(envelope, std::move(error));
    else
      runtime.answer_from_external(*envelope, std::move(error));
  }
  if (worker != nullptr) return destroy_envelope(&worker->pool_, envelope);
  // It may be another worker's block: a pool for the moment takes it, and gives it to the depot.
  BlockPool pool(runtime.depot_);
  destroy_envelope(&pool, envelope);
}

}  // namespace plexspaces::detail
