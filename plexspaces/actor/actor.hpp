// What a behaviour is to the turn loop.
#pragma once

#include <span>
#include <string>
#include <type_traits>

#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/actor/turn/task.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces {

class Context;

/// One message that an actor type handles.
struct Handler {
  const MessageInfo* message;
  bool read;            // a const handler: leaves the state as it is
  bool waits;           // a coroutine
  bool defers = false;  // answers later, by Context::defer()
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

  /// Before the first message, on the actor's worker. Inside Context::spawn() it has run when spawn returns. An error,
  /// or a throw, is spawn's error: the actor ends with it and handles nothing. From outside a worker, where nobody
  /// waits for it, it is logged. Of an actor without facets.
  virtual Status on_start(Context& context);

  /// The last turn, whatever ends the actor but a kill, the failure of on_start() and the end of the runtime. It may
  /// wait; meanwhile a kill ends the actor at once, and what is queued or still comes is a dead letter. Of an actor
  /// without facets. Public where it is overridden, as on_start().
  virtual Task<> on_stop(Context& context, const ExitReason& reason);

  /// Context::hibernate() has been called and no message waits: lets go of memory that the actor does not need while it
  /// rests (what it can build again, the spare room of its containers). A throw ends the actor.
  virtual void on_hibernate() {}
};

namespace detail {

/// Whether the class has its own on_start() or on_stop(): only then is there a turn for it.
template <class A>
consteval bool has_on_start() {
  static_assert(requires { &A::on_start; }, "on_start() is public and not overloaded");
  return !std::is_same_v<decltype(&A::on_start), Status (Actor::*)(Context&)>;
}
template <class A>
consteval bool has_on_stop() {
  static_assert(requires { &A::on_stop; }, "on_stop() is public and not overloaded");
  return !std::is_same_v<decltype(&A::on_stop), Task<> (Actor::*)(Context&, const ExitReason&)>;
}

}  // namespace detail

/// "Increment, Get": for messages about a type's interface.
std::string message_names(std::span<const Handler> handlers);

}  // namespace plexspaces
