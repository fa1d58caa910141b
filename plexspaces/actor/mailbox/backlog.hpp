// Messages of other workers and threads that are too many for one look.
#pragma once

#include <cstddef>

#include "plexspaces/actor/message/envelope.hpp"

namespace plexspaces::detail {

inline constexpr std::size_t kBacklogStep = 1'024;  // messages that a worker takes over before others have a turn

/// Lists that were taken from an inbox, on their way to the order in which they are handled.
///
///     newest first --turn()--> oldest first --all of a list--> ready --> the actor's queue
///                        `---> orders -------all of a list-------------> its system lane
///
/// Nothing that comes later may pass it: while an actor has one, all its senders push to the inbox. Orders do not wait
/// for the messages before them to be handled, so that an actor can be killed whatever its backlog.
/// Each call takes at most kBacklogStep messages.
class Backlog {
 public:
  bool is_empty() const { return newest_ == nullptr && ready_ == nullptr; }
  bool is_turning() const { return newest_ != nullptr; }

  /// Takes a list, the newest first, that came after all others. Only when it is not turning one.
  void add(Envelope* newest) { newest_ = newest; }
  /// Turns a part of the list. @returns, when all is turned, the orders among it, the oldest first.
  Envelope* turn();

  /// The messages that are next, the oldest first; null: none is ready.
  Envelope* ready() const { return ready_; }
  void set_ready(Envelope* rest) { ready_ = rest; }

 private:
  Envelope* newest_ = nullptr;  // still to be turned
  Envelope* oldest_ = nullptr;  // turned
  Envelope* last_ = nullptr;    // of these
  Envelope* orders_ = nullptr;
  Envelope* ready_ = nullptr;
  Envelope* last_ready_ = nullptr;
};

/// Turns a short list around, the newest first. @returns whether all is turned; if not, `newest` is as it was given.
inline bool turn_short_list(Envelope*& newest) {
  Envelope* oldest = nullptr;
  for (std::size_t n = 0; newest != nullptr && n < kBacklogStep; ++n) {
    Envelope* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  if (newest == nullptr) [[likely]] {
    newest = oldest;
    return true;
  }
  while (oldest != nullptr) {
    Envelope* next = oldest->next;
    oldest->next = newest;
    newest = oldest;
    oldest = next;
  }
  return false;
}

}  // namespace plexspaces::detail
