// How a worker starts and ends actors.
#include <algorithm>
#include <cstring>
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

Extras& Worker::extras(ActorCell& cell) {
  if (cell.extras == nullptr) cell.extras = new Extras;
  return *cell.extras;
}

void Worker::return_cell(ActorCell& cell) {
  cell.flags = 0;
  free_cells_.give(cell);
}

void* Worker::allocate_actor(Worker* worker, ActorCell& cell, std::size_t bytes, std::size_t align) {
  PLX_CHECK(align <= 64, "an actor is aligned to at most a cache line");
  if (bytes <= sizeof(cell.small) && align <= 8) {
    cell.flags |= ActorCell::kInline;
    return cell.small;
  }
  std::size_t block = block_class(bytes);
  void* memory;
  if (worker != nullptr && block < kBlockClasses) {
    memory = worker->pool_.allocate(block);
    cell.flags |= static_cast<std::uint16_t>(block << ActorCell::kBlockShift);
  } else {
    memory = ::operator new(bytes, std::align_val_t(64));
    cell.flags |= ActorCell::kHeap;
  }
  std::memcpy(cell.small, &memory, sizeof(memory));
  return memory;
}

void Worker::free_actor_memory(Worker* worker, ActorCell& cell) {
  std::uint16_t flags = cell.flags;
  cell.flags &= static_cast<std::uint16_t>(~(ActorCell::kInline | ActorCell::kHeap | ActorCell::kBlockMask));
  if ((flags & ActorCell::kInline) != 0) return;
  void* memory;
  std::memcpy(&memory, cell.small, sizeof(memory));
  if ((flags & ActorCell::kHeap) != 0 || !kPoolBlocks)
    ::operator delete(memory, std::align_val_t(64));
  else if (worker != nullptr)
    worker->pool_.free(memory, (flags & ActorCell::kBlockMask) >> ActorCell::kBlockShift);
}

void Worker::start_cell(ActorCell& cell, Actor* actor) {
  cell.actor = actor;
  // The home first: who pushes through the open inbox with a stale reference must find somebody to wake.
  cell.home.store(index_, std::memory_order_release);
  cell.inbox.store(ActorCell::idle(), std::memory_order_release);
  WorkerCounters::add(counters_.spawned);
  if (recorder_ != nullptr) [[unlikely]]
    recorder_->spawned(running_ != nullptr ? running_->id() : ActorId{}, cell.id(), *actor);
}

void Worker::ask_to_stop(ActorCell& cell) {
  Activation* activation = cell.extras != nullptr ? cell.extras->activation.get() : nullptr;
  if (activation == nullptr)
    stop_cell(cell);
  else
    activation->stop_asked_ = true;  // looked at when the turn, or the order, is done
}

void Worker::stop_cell(ActorCell& cell) {
  cell.flags |= ActorCell::kStopping;
  if ((cell.flags & ActorCell::kScheduled) == 0) schedule(cell);
}

bool Worker::close_if_idle(ActorCell& cell) {
  if ((cell.flags & (ActorCell::kScheduled | ActorCell::kWaiting)) != 0 || cell.head != nullptr) return false;
  if (cell.extras != nullptr && cell.extras->system_head != nullptr) return false;
  Envelope* expected = ActorCell::idle();
  return cell.inbox.compare_exchange_strong(expected, ActorCell::closed(), std::memory_order_acq_rel);
}

// The cell is in no run queue. Closes its mailbox, ends its identity, then its contents, then frees it.
void Worker::end(ActorCell& cell) {
  ActorId id = cell.id();
  Envelope* word;
  {
    std::unique_lock<SharedMutex> trimming = lock_out_trimming(cell);
    word = cell.inbox.exchange(ActorCell::closed(), std::memory_order_acq_rel);
  }
  Remains remains{&cell, id, nullptr, {}, {}};
  if (ActorCell::is_list(word)) remains.inbox.add(word);
  if ((cell.flags & ActorCell::kBacklog) != 0) remains.backlog = *cell.extras->backlog;
  // Before the actor counts as ended: who sees that may use the name.
  if (cell.extras != nullptr && !cell.extras->name.empty()) runtime_.release_name(cell.extras->name);
  std::uint32_t next_generation = id.generation + 1 == 0 ? 1 : id.generation + 1;
  cell.generation.store(next_generation, std::memory_order_release);
  cell.home.store(ActorCell::kNobody, std::memory_order_release);

  drop_open_turn(cell);
  remains.queued = std::exchange(cell.head, nullptr);
  cell.tail = nullptr;
  cell.queued.store(0, std::memory_order_relaxed);
  cell.queued_units.store(0, std::memory_order_relaxed);
  cell.mailbox.store(0, std::memory_order_relaxed);
  Envelope* orders = nullptr;
  std::unique_ptr<Activation> activation;
  std::unique_ptr<ExitLinks> exits;
  std::unique_ptr<MailboxState> mailbox;
  if (cell.extras != nullptr) {
    orders = cell.extras->system_head;
    activation = std::move(cell.extras->activation);
    exits = std::move(cell.extras->exits);
    mailbox = std::move(cell.extras->mailbox);
    if (cell.extras->timers != nullptr) drop_timers(*cell.extras->timers);
    delete std::exchange(cell.extras, nullptr);
  }
  if (activation != nullptr) runtime_.directory_.remove(activation->key(), id);
  if (cell.actor != nullptr) {
    std::exchange(cell.actor, nullptr)->~Actor();
    free_actor_memory(this, cell);
  }
  cell.flags = 0;
  WorkerCounters::add(counters_.ended);
  if (activation != nullptr) {
    Envelope* queued = remains.take_all();
    free_cells_.give(cell);
    return end_activation(*activation, exits.get(), orders, queued);
  }
  if (remains.is_empty()) [[likely]]
    free_cells_.give(cell);
  if (exits != nullptr) announce_end(id, *exits);
  drop_orders(orders);
  if (!remains.is_empty()) {
    std::size_t most = kBuriedPerBatch;
    if (!bury(remains, most)) remains_.push_back(remains);
  }
  if (mailbox != nullptr) end_mailbox(*mailbox, id);
}

// What waited goes to the next activation, unless this one could not be.
void Worker::end_activation(Activation& activation, ExitLinks* exits, Envelope* orders, Envelope* queued) {
  if (activation.again_) static_cast<void>(runtime_.activate(activation.key()));
  if (exits != nullptr) {
    if (activation.failure_) exits->reason = ExitReason::error(activation.failure_->message());
    announce_end(activation.id(), *exits);
  }
  drop_orders(orders);
  while (queued != nullptr) {
    Envelope* next = queued->next;
    if (is_peer_message(*queued) || is_internal_user_message(*queued))
      bury(queued, activation.id());
    else if (activation.failure_)
      answer_or_drop(queued, *activation.failure_);
    else if (queued->is(Envelope::kKeyed))
      static_cast<void>(runtime_.deliver(queued));
    else
      bury(queued, activation.id());
    queued = next;
  }
}

// Of the system lane.
void Worker::drop_orders(Envelope* orders) {
  while (orders != nullptr) {
    Envelope* next = orders->next;
    if (is_peer_message(*orders))
      refuse_system_message(orders);
    else
      destroy_envelope(&pool_, orders);
    orders = next;
  }
}

// A message for an actor that has ended.
void Worker::bury(Envelope* message, ActorId of) {
  if (is_peer_message(*message))
    refuse_system_message(message);
  else if (is_internal_user_message(*message))
    destroy_envelope(&pool_, message);
  else
    dead_letter(runtime_, this, message, DeadLetterReason::kStopped, of);
}

// Buries about `most` messages, and takes from that what it does. @returns whether nothing is left; then the cell is
// free.
bool Worker::bury(Remains& remains, std::size_t& most) {
  while (most > 0 && !remains.is_empty()) {
    Envelope* message = remains.next_part();
    if (message == nullptr) most -= std::min(most, kBacklogStep);
    for (; message != nullptr && most > 0; --most) bury(std::exchange(message, message->next), remains.of);
    remains.queued = message;
  }
  if (!remains.is_empty()) return false;
  free_cells_.give(*remains.cell);
  return true;
}

void Worker::bury_remains(std::size_t most) {
  while (!remains_.empty() && most > 0) {
    Remains remains = remains_.back();
    remains_.pop_back();
    if (!bury(remains, most)) remains_.push_back(remains);
  }
}

void Worker::answer_or_drop(Envelope* request, const Error& error) {
  if (request->is(Envelope::kAsk)) send_reply(error_reply(request, error));
  destroy_envelope(&pool_, request);
}

}  // namespace plexspaces::detail
