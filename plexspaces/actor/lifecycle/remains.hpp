// Messages of an actor that has ended.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/lifecycle/actor_cell.hpp"
#include "plexspaces/actor/mailbox/backlog.hpp"
#include "plexspaces/actor/message/envelope.hpp"

namespace plexspaces::detail {

/// What waited at an actor when it ended: dead letters, which its worker counts a part at a time. The cell stays taken
/// until the last of them, as they are in its counts.
struct Remains {
  ActorCell* cell = nullptr;
  ActorId of;
  Envelope* queued = nullptr;  // the oldest first
  Backlog backlog;             // came after these
  Backlog inbox;               // and then these

  /// @returns the messages that are next, out of the counts of the cell, at most kBacklogStep of those from the inbox;
  /// null when that took a step, or nothing is left.
  Envelope* next_part() {
    if (queued != nullptr) return std::exchange(queued, nullptr);
    for (Backlog* list : {&backlog, &inbox}) {
      if (list->is_turning()) return list->turn();
      if (list->ready() != nullptr) return take_step(*list);
    }
    return nullptr;
  }
  /// @returns all messages, out of the counts of the cell.
  Envelope* take_all() {
    Envelope* all = nullptr;
    Envelope** end = &all;
    while (!is_empty()) {
      for (*end = next_part(); *end != nullptr;) end = &(*end)->next;
    }
    return all;
  }
  bool is_empty() const { return queued == nullptr && backlog.is_empty() && inbox.is_empty(); }

 private:
  Envelope* take_step(Backlog& list) const {
    std::uint64_t charge = 0;
    Envelope* last = nullptr;
    Envelope* first = list.ready();
    Envelope* at = first;
    for (std::size_t n = 0; at != nullptr && n < kBacklogStep; ++n, at = at->next) {
      charge += cross_worker_charge(*at);
      last = at;
    }
    cell->cross_worker.fetch_sub(charge, std::memory_order_relaxed);
    last->next = nullptr;
    list.set_ready(at);
    return first;
  }
};

}  // namespace plexspaces::detail
