// What a turn has done to others.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <typeindex>
#include <typeinfo>
#include <vector>

#include "plexspaces/actor/actor_id.hpp"
#include "plexspaces/actor/lifecycle/exit.hpp"
#include "plexspaces/actor/message/message.hpp"
#include "plexspaces/actor/scheduler/timer.hpp"
#include "plexspaces/actor/turn/reply_to.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::testkit {

/// One effect of a turn, as a Harness has recorded it. A value: it outlives the harness.
class TurnEffect {
 public:
  enum class Kind : std::uint8_t {
    kTell,
    kAsk,
    kSpawn,
    kTimer,
    kCancel,  // of a timer
    kMonitor,
    kDemonitor,
    kLink,
    kUnlink,
    kExit,  // an exit signal, also over a link at the end
    kKill,
    kEnd,       // of the actor under test
    kRestless,  // the actor under test goes on and on by itself: what would follow is left out
  };

  Kind kind = Kind::kTell;
  ActorId by;                          // the actor under test, or one that it has spawned
  ActorId to;                          // whom it concerns; of kSpawn: the new actor
  std::optional<ActorKey> key;         // of a tell by key, in place of `to`
  TimerRef timer;                      // kTimer, kCancel
  Duration after{}, period{};          // kTimer; period 0: once
  MonitorRef monitor;                  // kMonitor, kDemonitor
  std::optional<ExitReason> reason;    // kExit, kEnd
  std::optional<std::type_index> cls;  // kSpawn

  /// The message that was told, asked, or given to a timer, when it is that kind of effect and an `M`; null otherwise.
  template <class M>
  const M* told() const {
    return kind == Kind::kTell ? message_as<M>() : nullptr;
  }
  template <class M>
  const M* asked() const {
    return kind == Kind::kAsk ? message_as<M>() : nullptr;
  }
  template <class M>
  const M* timed() const {
    return kind == Kind::kTimer ? message_as<M>() : nullptr;
  }
  /// Whether an actor of class `A` was spawned.
  template <class A>
  bool spawned() const {
    return kind == Kind::kSpawn && cls == std::type_index(typeid(A));
  }

  /// One line: `tell branch Settled {"amount":5}`, `timer in 1000 ms Tick {}`, `spawn Account`, `end error: no money`.
  std::string to_string() const;

  // For the harness.
  const MessageInfo* type = nullptr;  // of the message
  std::shared_ptr<const void> value;  // it; null when it cannot be copied. Shared by the copies of this effect
  std::string to_name, by_name;       // by_name: of an actor that is not under test
  plexspaces::detail::Asker asker;    // kAsk

 private:
  template <class M>
  const M* message_as() const {
    return type == &message_info<M>() ? static_cast<const M*>(value.get()) : nullptr;
  }
};

/// In the order in which they happened.
using TurnEffects = std::vector<TurnEffect>;

/// Each as one line, to be compared or shown.
std::vector<std::string> lines_of(const TurnEffects& effects);

}  // namespace plexspaces::testkit
