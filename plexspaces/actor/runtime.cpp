#include "plexspaces/actor/runtime.hpp"

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/errors.hpp"
#include "plexspaces/actor/message/system_message.hpp"
#include "plexspaces/base/limits.hpp"
#include "plexspaces/base/standard_error.hpp"
#include "plexspaces/base/suggest.hpp"
#include "plexspaces/base/utf8.hpp"

namespace plexspaces {

namespace {

constexpr std::size_t kRuntimesMax = 1024;  // alive in one process
constexpr int kLooksPerSlowHandler = 4;     // of the watchdog, in the time after which a handler is slow
constexpr int kDeliverAttemptsMax = 16;     // activations that end just as a message arrives, in a row

// The process's runtimes, so that a reference can be a plain id. An entry is written under the mutex; readers look at
// the pointer and at the incarnation that the runtime itself holds.
std::mutex places_mutex;
std::array<std::atomic<Runtime*>, kRuntimesMax> places{};
std::uint32_t last_incarnation = 0;

detail::MailboxKind resolve(const MailboxOptions& options, const RuntimeOptions& runtime) {
  std::uint32_t messages = options.messages_max != 0 ? options.messages_max : runtime.mailbox_messages_max;
  std::uint64_t bytes = options.bytes_max != 0 ? options.bytes_max : runtime.mailbox_bytes_max;
  constexpr std::uint64_t kUnitsMax = std::numeric_limits<std::uint32_t>::max();
  return {std::min(messages, detail::kMailboxMessagesMax),
          static_cast<std::uint32_t>(std::min(bytes / detail::Envelope::kChargeUnit, kUnitsMax)), options.overflow,
          options.priority};
}

}  // namespace

std::string_view reason_name(DeadLetterReason reason) {
  constexpr std::array<std::string_view, kDeadLetterReasons> names{
      "no_actor", "mailbox_full",   "unhandled",      "expired",    "late_reply",
      "stopped",  "dropped_oldest", "dropped_newest", "stash_full", "too_large"};
  return names[static_cast<std::size_t>(reason)];
}

const RequestContext& Context::request() const {
  if (input_->context != nullptr && input_->context->request != nullptr) return *input_->context->request;
  return *runtime().default_request();
}

const ActorKey* Context::key() const {
  if (cell_->extras == nullptr || cell_->extras->activation == nullptr) return nullptr;
  return &cell_->extras->activation->key();
}

Runtime::Runtime(env::Executor& executor, const Types& types, RuntimeOptions options)
    : executor_(executor),
      types_(types),
      options_(std::move(options)),
      default_request_(std::make_shared<const RequestContext>()),
      log_([](const std::string& line) { write_log_line(line); }),
      table_(options_.actors_max, executor.worker_count() + 1),
      watchdog_(executor.worker_count(), options_.slow_handler_after,
                [this](const detail::SlowTurn& turn) { report(turn); }),
      message_units_max_(static_cast<std::uint32_t>(std::min<std::size_t>(
          options_.message_bytes_max / detail::Envelope::kChargeUnit, detail::Envelope::kChargeMax - 2))) {
  mailbox_kinds_[0] = resolve({}, options_);
  std::lock_guard lock(places_mutex);
  std::size_t place = 0;
  while (place < kRuntimesMax && places[place].load(std::memory_order_relaxed) != nullptr) ++place;
  PLX_CHECK(place < kRuntimesMax, "at most 1024 runtimes in a process");
  node_id_ = {static_cast<std::uint32_t>(place), ++last_incarnation};
  for (std::size_t i = 0; i < executor_.worker_count(); ++i)
    workers_.push_back(std::make_unique<detail::Worker>(*this, static_cast<std::uint16_t>(i), executor_.now()));
  places[place].store(this, std::memory_order_release);
}

Runtime::~Runtime() {
  places[node_id_.place].store(nullptr, std::memory_order_release);
  end_actors();
}

Error Runtime::end_error() const { return ending_ ? detail::dropped_error() : detail::gone_error(); }

void Runtime::end_actors() {
  refuse_new_work();
  ending_ = true;
  // Nobody is left to be told.
  table_.for_each([](detail::ActorCell& cell) {
    if (cell.extras != nullptr) cell.extras->exits.reset();
  });
  // Actors end one by one; what they hold is destroyed on this thread, as worker 0.
  table_.for_each([this](detail::ActorCell& cell) {
    if (cell.actor == nullptr && cell.extras == nullptr) return;
    workers_[0]->end(cell);
  });
  for (auto& worker : workers_) worker->bury_remains(std::numeric_limits<std::size_t>::max());
}

Runtime* Runtime::of(NodeId node) {
  Runtime* runtime = places[node.place % kRuntimesMax].load(std::memory_order_acquire);
  return runtime != nullptr && runtime->node_id_ == node ? runtime : nullptr;
}

Status Runtime::start() {
  const std::pair<std::string_view, std::int64_t> at_least_one[] = {
      {"mailbox_messages_max", options_.mailbox_messages_max},
      {"mailbox_bytes_max", static_cast<std::int64_t>(std::min<std::uint64_t>(options_.mailbox_bytes_max, 1))},
      {"message_bytes_max", static_cast<std::int64_t>(std::min<std::size_t>(options_.message_bytes_max, 1))},
      {"actors_max", options_.actors_max},
      {"batch_time_max", options_.batch_time_max.count()},
      {"turns_per_batch", static_cast<std::int64_t>(std::min<std::size_t>(options_.turns_per_batch, 1))},
      {"turns_per_run", static_cast<std::int64_t>(std::min<std::size_t>(options_.turns_per_run, 1))},
      {"migration_batches", static_cast<std::int64_t>(std::min<std::size_t>(options_.migration_batches, 1))}};
  for (const auto& [name, value] : at_least_one)
    if (value <= 0)
      return fail(Code::kInvalidArgument,
                  fmt::format("RuntimeOptions::{} is {}: with that no actor could work; give it a value above zero",
                              name, value),
                  "PLX-ACT-0054");
  if (workers_.size() > detail::kWorkersMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the executor has {} workers: at most {}", workers_.size(), detail::kWorkersMax),
                "PLX-ACT-0054");
  PLX_TRY_STATUS(types_.check());
  for (const std::string& name : types_.names()) {
    for (const FacetSpec& facet : types_.find(name)->facets) {
      auto offered = facets_.find(facet.name);
      if (offered != facets_.end()) {
        if (offered->second.check) PLX_TRY_STATUS(offered->second.check(*types_.find(name), facet.options));
        continue;
      }
      return fail(Code::kFailedPrecondition,
                  fmt::format("the type '{}' wants the facet '{}', which this node does not offer", name, facet.name),
                  "PLX-ACT-0015");
    }
  }
  std::vector<env::Worker*> workers;
  for (auto& worker : workers_) workers.push_back(worker.get());
  if (options_.slow_handler_after > Duration::zero()) {
    executor_.watch(options_.slow_handler_after / kLooksPerSlowHandler, [this] {
      watchdog_.look(executor_.now(), [this](std::size_t worker) { return workers_[worker]->held(); });
    });
  }
  executor_.start(workers);
  return {};
}

void Runtime::refuse_everything() {
  refuse_new_work();
  stopped_.store(true, std::memory_order_relaxed);
}

Status Runtime::check_running() const {
  if (!stopped_.load(std::memory_order_relaxed)) return {};
  return fail(Code::kUnavailable, "the runtime has stopped: its actors handle nothing any more", "PLX-ACT-0055");
}

void Runtime::offer_facet(std::string name, FacetFactory factory) {
  facets_.insert_or_assign(std::move(name), std::move(factory));
}

// ---- kinds of mailboxes --------------------------------------------------------------------------------------------

Result<std::uint8_t> Runtime::mailbox_number(const MailboxOptions& options) {
  if (options == MailboxOptions{}) return std::uint8_t{0};
  std::lock_guard lock(mailboxes_mutex_);
  auto known = std::ranges::find(mailbox_options_, options);
  auto number = static_cast<std::size_t>(known - mailbox_options_.begin()) + 1;
  if (known != mailbox_options_.end()) return static_cast<std::uint8_t>(number);
  if (number > kMailboxKindsMax)
    return fail(Code::kResourceExhausted, "there are 255 different MailboxOptions in this runtime: use one of them",
                "PLX-ACT-0040");
  mailbox_kinds_[number] = resolve(options, options_);
  mailbox_options_.push_back(options);
  return static_cast<std::uint8_t>(number);
}

// Offers that are on their way are counted with the messages, whose bound does not hold for them.
bool Runtime::too_many_offers(const detail::ActorCell& receiver) const {
  return receiver.cross_worker.load(std::memory_order_relaxed) / detail::kCrossWorkerMessage >=
         mailbox_kind(receiver).messages_max + options_.sends_waiting_max;
}

// ---- starting and ending from outside ------------------------------------------------------------------------------

Result<detail::ActorCell*> Runtime::new_external_cell() {
  std::lock_guard lock(external_mutex_);
  detail::ActorCell* cell = external_cells_.take();
  if (cell == nullptr) return std::unexpected(detail::too_many_actors_error());
  return cell;
}

void Runtime::return_external_cell(detail::ActorCell& cell) {
  std::lock_guard lock(external_mutex_);
  external_cells_.give(cell);
}

void Runtime::start_external_cell(detail::ActorCell& cell, Actor* actor, std::uint8_t mailbox, std::string name) {
  cell.actor = actor;
  std::size_t worker;
  {
    std::lock_guard lock(external_mutex_);
    worker = next_worker_++ % workers_.size();
    external_spawned_.fetch_add(1, std::memory_order_relaxed);
  }
  ActorId id = cell.id();
  detail::Worker::configure(cell, mailbox, name);
  cell.home.store(detail::ActorCell::kInTransit, std::memory_order_relaxed);
  cell.inbox.store(nullptr, std::memory_order_release);  // awake: the adopter runs it
  if (!name.empty()) publish_name(name, id);
  detail::Worker::adopt_later(*this, cell, static_cast<std::uint16_t>(worker));
}

void Runtime::stop(ActorId id) {
  if (table_.find(id.slot) == nullptr) return;
  static_cast<void>(send(id, detail::make_system_message(nullptr, detail::kStopMessage)));
}

void Runtime::kill(ActorId id) {
  if (table_.find(id.slot) == nullptr) return;
  static_cast<void>(send(id, detail::make_exit_message(nullptr, {.reason = ExitReason::killed(), .kill = true})));
}

void Runtime::post(ActorId id, std::move_only_function<void(Activation&)> function) {
  detail::ActorCell* cell = table_.find(id.slot);
  if (cell == nullptr) return;
  detail::Envelope* order = detail::make_task_message(std::move(function));
  detail::Worker* worker = detail::Worker::current();
  detail::Sent sent = worker != nullptr && &worker->runtime() == this
                          ? worker->send(id, order)
                          : detail::Worker::push_cross_worker(*this, *cell, id, order);
  if (sent != detail::Sent::kOk) detail::destroy_envelope(nullptr, order);
}

// ---- names ---------------------------------------------------------------------------------------------------------

Status Runtime::reserve_name(const std::string& name, const void* tag) {
  if (name.size() > kNameBytesMax || name.contains('@'))
    return fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is no name of an actor: it has at most {} bytes and no '@', which stands before the node",
                    excerpt(name), kNameBytesMax),
        "PLX-ACT-0053");
  std::lock_guard lock(names_mutex_);
  if (names_.contains(name))
    return fail(Code::kAlreadyExists, fmt::format("an actor named '{}' is alive: stop it first", name), "PLX-ACT-0016");
  names_.emplace(name, Name{{}, tag});
  return {};
}

void Runtime::publish_name(const std::string& name, ActorId id) {
  std::lock_guard lock(names_mutex_);
  names_.find(name)->second.id = id;
}

void Runtime::release_name(const std::string& name) {
  std::lock_guard lock(names_mutex_);
  names_.erase(name);
}

Result<ActorId> Runtime::find_name(std::string_view name, const void* tag) const {
  std::size_t at = name.rfind('@');
  if (at != std::string_view::npos && name.substr(at + 1) != options_.node_name)
    return fail(Code::kNotFound, fmt::format("'{}' is not an actor of this node, {}", name, options_.node_name),
                "PLX-ACT-0017");
  std::lock_guard lock(names_mutex_);
  auto found = names_.find(name.substr(0, at));
  // No suggestions: a look-up that misses may be frequent, and other actors' names are not everybody's.
  if (found == names_.end() || !found->second.id)
    return fail(Code::kNotFound, fmt::format("no actor is named '{}'", excerpt(name)), "PLX-ACT-0017");
  if (found->second.tag != tag)
    return fail(Code::kFailedPrecondition, fmt::format("the actor '{}' is of another class", name), "PLX-ACT-0018");
  return found->second.id;
}

// ---- sending from outside ------------------------------------------------------------------------------------------

TellStatus Runtime::send(ActorId to, detail::Envelope* envelope) {
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && &worker->runtime() == this) return worker->send_or_dead_letter(to, envelope);
  if (Status running = check_running(); !running) {
    detail::Worker::dead_letter(*this, nullptr, envelope, DeadLetterReason::kStopped, to);
    return TellStatus(std::move(running));
  }
  if (envelope->charge > message_units_max_ && !envelope->is(detail::Envelope::kSystem))
    return refuse_large(to, envelope);
  detail::ActorCell* cell = to ? table_.find(to.slot) : nullptr;
  detail::Sent sent =
      cell == nullptr ? detail::Sent::kGone : detail::Worker::push_cross_worker(*this, *cell, to, envelope);
  if (sent == detail::Sent::kOk) return {};
  return detail::Worker::refused(*this, nullptr, envelope, sent, to);
}

Status Runtime::check_reply(const ValueType& type, const void* reply) const {
  std::size_t bytes = type.size + dynamic_bytes(type, reply);
  if (bytes <= message_units_max_ * detail::Envelope::kChargeUnit) return {};
  return std::unexpected(detail::too_large_error(bytes, options_).with_prefix("the reply is too large"));
}

TellStatus Runtime::refuse_large(ActorId to, detail::Envelope* envelope) {
  Error error = detail::too_large_error(envelope->bytes(), options_);
  detail::Worker::dead_letter(*this, nullptr, envelope, DeadLetterReason::kTooLarge, to);
  return std::unexpected(std::move(error));
}

TellStatus Runtime::tell_within(ActorId to, detail::Envelope* envelope, Duration within) {
  envelope->context = detail::new_context(nullptr);
  envelope->context->until_handled = true;
  envelope->context->deadline = saturating_add(executor_.now(), within);
  return send(to, envelope);
}

void Runtime::send_reply_from_external(detail::Envelope* reply) {
  ActorId asker = reply->sender_id();
  detail::ActorCell* cell = table_.find(asker.slot);
  if (cell == nullptr || detail::Worker::push_cross_worker(*this, *cell, asker, reply) != detail::Sent::kOk)
    detail::Worker::dead_letter(*this, nullptr, reply, DeadLetterReason::kLateReply, asker);
}

void Runtime::answer_from_external(const detail::Envelope& request, Error error) {
  detail::Envelope* reply = detail::allocate_reply(nullptr, request.type, request.sender, request.correlation(),
                                                   sizeof(Error), detail::Envelope::kFailed);
  ::new (reply->payload()) Error(std::move(error));
  send_reply_from_external(reply);
}

Result<ActorId> Runtime::activation_of(const ActorKey& key) {
  return directory_.find_or_create(key, [&]() -> Result<ActorId> {
    const ActorType* type = types_.find(key.type);
    if (type == nullptr)
      return fail(Code::kNotFound, fmt::format("no actor type '{}'{}", key.type, suggest(key.type, types_.names())),
                  "PLX-ACT-0019");
    if (!type->keyed())
      return fail(Code::kNotFound, fmt::format("actors of the type '{}' have no keys: give it a facet", key.type),
                  "PLX-ACT-0020");
    PLX_TRY(cell, new_external_cell());
    cell->extras = new detail::Extras;
    cell->extras->activation = std::make_unique<Activation>(*this, *type, key, cell->id());
    cell->flags |= detail::ActorCell::kWaiting;
    cell->home.store(detail::ActorCell::kInTransit, std::memory_order_relaxed);
    cell->inbox.store(nullptr, std::memory_order_release);
    ActorId id = cell->id();
    detail::Worker::adopt_later(*this, *cell, static_cast<std::uint16_t>(key.shard() % workers_.size()));
    return id;
  });
}

Status Runtime::activate(const ActorKey& key) {
  PLX_TRY_STATUS(activation_of(key));
  return {};
}

Status Runtime::deliver(detail::Envelope* envelope) {
  detail::Worker* worker = detail::Worker::current();
  if (worker != nullptr && &worker->runtime() != this) worker = nullptr;
  auto refuse = [&](Error error) -> Status {
    if (envelope->is(detail::Envelope::kAsk)) {
      if (worker != nullptr)
        worker->send_reply(worker->error_reply(envelope, error));
      else
        detail::answer_external(envelope, error);
    }
    detail::destroy_envelope(worker != nullptr ? &worker->pool() : nullptr, envelope);
    return std::unexpected(std::move(error));
  };
  if (worker == nullptr && refusing_.load(std::memory_order_relaxed))
    return refuse(Error(Code::kUnavailable, "the node is stopping: ask another, or later", "PLX-ACT-0021",
                        Error::Retry::kBackoff));
  if (Status valid = envelope->delivery()->target.check(); !valid) return refuse(std::move(valid).error());
  if (envelope->charge > message_units_max_) {
    count_dead_letter(worker, *envelope, DeadLetterReason::kTooLarge, {});
    return refuse(detail::too_large_error(envelope->bytes(), options_));
  }
  for (int attempt = 0; attempt < kDeliverAttemptsMax; ++attempt) {
    auto id = activation_of(envelope->delivery()->target);
    if (!id) return refuse(std::move(id).error());
    detail::Sent sent = worker != nullptr
                            ? worker->send(*id, envelope)
                            : detail::Worker::push_cross_worker(*this, *table_.find(id->slot), *id, envelope);
    if (sent == detail::Sent::kOk) return {};
    if (sent != detail::Sent::kGone) {
      count_dead_letter(worker, *envelope, DeadLetterReason::kMailboxFull, *id);
      return refuse(detail::mailbox_full_error());
    }
  }
  return refuse(Error(Code::kUnavailable, "the actor ended each time the message arrived: send it again",
                      "PLX-ACT-0022", Error::Retry::kBackoff));
}

namespace {

// A thread that waits for an answer.
struct Waiter {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<Answer> answer;
};

// An answer wakes the waiter. Shared: it may come after the wait has ended.
std::unique_ptr<ReplySink> waking(std::shared_ptr<Waiter> waiter) {
  return make_sink([waiter = std::move(waiter)](Answer answer) {
    std::lock_guard lock(waiter->mutex);
    waiter->answer = std::move(answer);
    waiter->answered.notify_one();
  });
}

}  // namespace

Result<Answer> Runtime::ask_and_wait(std::function<void(detail::Envelope*)> send, detail::Envelope* envelope,
                                     Duration within) {
  if (detail::Worker::current() != nullptr) {
    detail::destroy_envelope(nullptr, envelope);
    return fail(Code::kFailedPrecondition, "inside an actor, co_await ctx.ask(): a blocking ask would hold its worker",
                "PLX-ACT-0023");
  }
  if (Status running = check_running(); !running) {
    detail::Worker::dead_letter(*this, nullptr, envelope, DeadLetterReason::kStopped, {});
    return std::unexpected(std::move(running).error());
  }
  auto waiter = std::make_shared<Waiter>();
  envelope->ask_for(waking(waiter));
  envelope->context = detail::new_context(nullptr);
  envelope->context->deadline = saturating_add(executor_.now(), within);
  send(envelope);
  std::unique_lock lock(waiter->mutex);
  if (!waiter->answered.wait_for(lock, bounded_wait(within), [&] { return waiter->answer.has_value(); }))
    return std::unexpected(detail::no_answer_error());
  return std::move(*waiter->answer);
}

Status Runtime::send_and_wait(ActorId to, detail::Envelope* envelope, Duration within) {
  if (detail::Worker::current() != nullptr) {
    detail::destroy_envelope(nullptr, envelope);
    return fail(Code::kFailedPrecondition,
                "inside an actor, co_await ctx.send(): a blocking send would hold its worker", "PLX-ACT-0023");
  }
  std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>();
  PLX_TRY(decision, send_or_offer(to, envelope, waking(waiter)));
  if (decision == nullptr) return {};
  std::unique_lock lock(waiter->mutex);
  auto answered = [&] { return waiter->answer.has_value(); };
  if (!waiter->answered.wait_for(lock, bounded_wait(within), answered)) {
    if (decision->decide()) return std::unexpected(detail::no_room_error());
    waiter->answered.wait(lock, answered);  // let in just now: the answer is on its way
  }
  return waiter->answer->take<void>();
}

Result<std::shared_ptr<detail::SendDecision>> Runtime::send_or_offer(ActorId to, detail::Envelope* envelope,
                                                                     std::unique_ptr<ReplySink> sink) {
  using detail::Sent, detail::Worker;
  auto refuse = [&](DeadLetterReason reason, Error error) {
    Worker::dead_letter(*this, nullptr, envelope, reason, to);
    return std::unexpected(std::move(error));
  };
  if (envelope->charge > message_units_max_)
    return refuse(DeadLetterReason::kTooLarge, detail::too_large_error(envelope->bytes(), options_));
  if (Status running = check_running(); !running) return refuse(DeadLetterReason::kStopped, std::move(running).error());
  detail::ActorCell* cell = to ? table_.find(to.slot) : nullptr;
  Sent sent = cell == nullptr ? Sent::kGone : Worker::push_cross_worker(*this, *cell, to, envelope);
  if (sent == Sent::kOk) return nullptr;
  if (sent == Sent::kGone) return refuse(DeadLetterReason::kNoActor, detail::gone_error());
  if (too_many_offers(*cell)) return refuse(DeadLetterReason::kMailboxFull, detail::too_many_sends_error());
  auto decision = std::make_shared<detail::SendDecision>();
  detail::Envelope* order = detail::make_send_message(nullptr, {decision, envelope, to});
  order->ask_for(std::move(sink));
  if (Worker::push_cross_worker(*this, *cell, to, order) == Sent::kOk) return decision;
  envelope = std::exchange(order->payload_as<detail::SendOffer>().message, nullptr);
  detail::destroy_envelope(nullptr, order);
  return refuse(DeadLetterReason::kNoActor, detail::gone_error());
}

// ---- what can be seen ----------------------------------------------------------------------------------------------

void Runtime::count_dead_letter(detail::Worker* worker, const detail::Envelope& envelope, DeadLetterReason reason,
                                ActorId to) {
  auto index = static_cast<std::size_t>(reason);
  std::atomic<std::uint64_t>& counter =
      worker != nullptr ? worker->counters().dead_letters[index] : external_dead_letters_[index];
  // A worker's counters are its own; many threads may be outside.
  std::uint64_t before =
      worker != nullptr ? counter.load(std::memory_order_relaxed) : counter.fetch_add(1, std::memory_order_relaxed);
  if (worker != nullptr) detail::WorkerCounters::add(counter);
  if (before >= kDeadLettersKeptAll && before % kDeadLettersPerSample != 0) return;
  if (options_.dead_letters_kept == 0) return;
  DeadLetter letter = detail::Worker::letter_of(*this, envelope, reason, to);
  std::lock_guard lock(dead_letters_mutex_);
  if (dead_letters_.size() < options_.dead_letters_kept) {
    dead_letters_.push_back(std::move(letter));
  } else {
    dead_letters_[dead_letters_next_] = std::move(letter);
    dead_letters_next_ = (dead_letters_next_ + 1) % dead_letters_.size();
  }
}

std::vector<DeadLetter> Runtime::dead_letters() const {
  std::lock_guard lock(dead_letters_mutex_);
  std::vector<DeadLetter> letters;
  for (std::size_t i = 0; i < dead_letters_.size(); ++i)
    letters.push_back(dead_letters_[(dead_letters_next_ + i) % dead_letters_.size()]);
  return letters;
}

bool Runtime::is_alive(ActorId id) const {
  const detail::ActorCell* cell = id ? table_.find(id.slot) : nullptr;
  return cell != nullptr && cell->generation.load(std::memory_order_acquire) == id.generation;
}

std::string Runtime::name_of(ActorId id) const {
  std::lock_guard lock(names_mutex_);
  for (const auto& [name, entry] : names_)
    if (entry.id == id) return name;
  return std::to_string(id.slot);
}

void Runtime::report(const detail::SlowTurn& turn) const {
  const ValueType* message = turn.held.message != nullptr ? turn.held.message->value : nullptr;
  std::string during = message != nullptr                            ? fmt::format("handling {}", message->name)
                       : turn.held.message == &detail::kStartMessage ? "in on_start()"
                                                                     : "in on_stop()";
  std::string who = fmt::format("{} {}@{} {}", detail::class_name(turn.held.class_number), name_of(turn.held.actor),
                                options_.node_name, during);
  auto milliseconds = turn.lasted / 1ms;
  log_(turn.ended ? fmt::format("worker {} goes on after {} ms in {} (PLX-ACT-0050)", turn.worker, milliseconds, who)
                  : fmt::format("worker {} is held for {} ms by {}: a handler that waits or computes for long calls "
                                "co_await ctx.blocking(...) (PLX-ACT-0050)",
                                turn.worker, milliseconds, who));
}

MailboxSize Runtime::mailbox_size(ActorId id) const {
  const detail::ActorCell* cell = id ? table_.find(id.slot) : nullptr;
  if (cell == nullptr || cell->generation.load(std::memory_order_acquire) != id.generation) return {};
  std::uint64_t foreign = cell->cross_worker.load(std::memory_order_relaxed);
  return {foreign / detail::kCrossWorkerMessage + cell->queued.load(std::memory_order_relaxed),
          ((foreign & detail::kCrossWorkerUnitsMask) + cell->queued_units.load(std::memory_order_relaxed)) *
              detail::Envelope::kChargeUnit};
}

RuntimeStats Runtime::stats() const {
  RuntimeStats stats;
  stats.slow_handlers = watchdog_.slow_turns();
  stats.slowest_handler = watchdog_.longest();
  std::uint64_t spawned = external_spawned_.load(std::memory_order_relaxed);
  std::uint64_t ended = 0;
  for (const auto& worker : workers_) {
    const detail::WorkerCounters& counters = worker->counters();
    stats.turns += counters.turns.load(std::memory_order_relaxed);
    stats.crashes += counters.crashes.load(std::memory_order_relaxed);
    stats.handler_errors += counters.handler_errors.load(std::memory_order_relaxed);
    stats.migrations += counters.migrations.load(std::memory_order_relaxed);
    spawned += counters.spawned.load(std::memory_order_relaxed);
    ended += counters.ended.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < kDeadLetterReasons; ++i)
      stats.dead_letters[i] += counters.dead_letters[i].load(std::memory_order_relaxed);
  }
  stats.actors = spawned - std::min(spawned, ended);
  for (std::size_t i = 0; i < kDeadLetterReasons; ++i)
    stats.dead_letters[i] += external_dead_letters_[i].load(std::memory_order_relaxed);
  return stats;
}

}  // namespace plexspaces
