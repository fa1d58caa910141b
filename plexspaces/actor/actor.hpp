// What a behaviour is to the turn loop.
#pragma once

#include <span>
#include <string>

#include "plexspaces/actor/message.hpp"

namespace plexspaces {

class Context;

/// One message that an actor type handles.
struct Handler {
  const MessageInfo* message;
  bool read;   // a const handler: leaves the state as it is
  bool waits;  // a coroutine
};

/// The one virtual call of a turn. Behaviours (GenServer, ...) implement it; users derive from those.
/// Threads: one turn at a time, on the worker that is the actor's home.
class Actor {
 public:
  Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  virtual ~Actor() = default;

  /// Handles the input of `context` to its end, or to its first wait.
  virtual void receive(Context& context) = 0;

  /// What receive() handles; constant for a type.
  virtual std::span<const Handler> handlers() const = 0;
};

/// "Increment, Get": for messages about a type's interface.
std::string message_names(std::span<const Handler> handlers);

}  // namespace plexspaces
