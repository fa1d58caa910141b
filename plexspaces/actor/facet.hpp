// What can be put around an actor's turns at run time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "plexspaces/actor/message/envelope.hpp"
#include "plexspaces/actor/scheduler/timer_wheel.hpp"
#include "plexspaces/actor/types.hpp"

namespace plexspaces {

class Activation;
class Runtime;

namespace detail {
class Worker;
struct ActorCell;
}  // namespace detail

/// A message that a turn sends: to a live actor by id, or to an actor by key.
struct Effect {
  std::variant<ActorId, ActorKey> target;
  detail::EnvelopePtr message;
};

/// What a turn emits.
struct Effects {
  std::vector<Effect> sends;
  detail::EnvelopePtr reply;  // addressed to the asker; null when nobody asked

  bool empty() const { return sends.empty() && reply == nullptr; }
};

/// One input of an actor with facets, on its way through the chain.
struct Turn {
  Activation& activation;
  detail::EnvelopePtr input;
  const Handler* handler = nullptr;  // null: the type does not handle it, or the input is a deletion
  Effects effects;
  std::optional<Error> error;  // what the handler returned, or, in on_error(), threw

  bool read_only() const { return handler != nullptr && handler->read; }
  /// The delivery of an input that came by key, or null.
  const Delivery* delivery() const { return input->is(detail::Envelope::kKeyed) ? input->delivery() : nullptr; }
};

/// A capability around the turns of one activation. The chain is run in the order in which the type names its facets;
/// without facets an actor pays one null check a turn.
///
///     on_activate -> [ admit -> handler -> commit -> effects leave ] ... -> on_passivate
///                               `-- throws --> on_error -> again, or commit
///
/// Threads: the home worker of the activation; all calls for one activation are ordered. To come back from another
/// thread: Runtime::post().
class Facet {
 public:
  virtual ~Facet() = default;

  enum class Ready { kNow, kLater };
  /// Before the first turn. kLater: Activation::ready() or failed() follows; inputs wait meanwhile.
  virtual Ready on_activate(Activation&) { return Ready::kNow; }

  enum class Admission { kRun, kTaken };
  /// Before the handler. kTaken: the facet has answered the input or keeps it (moved out of the turn).
  virtual Admission admit(Turn&) { return Admission::kRun; }

  enum class Gate { kOpen, kHeld };
  /// After the handler. kHeld: the facet has moved the effects out of the turn and emits them later (Activation::emit).
  virtual Gate commit(Turn&) { return Gate::kOpen; }

  enum class Recovery { kPass, kRetry, kCommit };
  /// The handler threw `turn.error`; its effects are gone. kRetry: the same input runs again. kCommit: the error is the
  /// answer, to be committed. kPass: as without this facet; when all pass, the activation ends and the asker gets the
  /// error.
  virtual Recovery on_error(Turn&) { return Recovery::kPass; }

  /// @returns whether the activation may end now; false while it holds anything that would be lost.
  virtual bool on_passivate(Activation&) { return true; }
};

/// Makes a facet for an activation, from the options its type gave.
struct FacetFactory {
  std::function<std::unique_ptr<Facet>(Activation&, const std::any& options)> make;
  /// @error a type cannot have this facet, or not with these options: the runtime does not start.
  std::function<Status(const ActorType&, const std::any& options)> check;
};

/// A live actor of a type with facets: what its facets work with. Threads: its home worker.
class Activation {
 public:
  Activation(Runtime& runtime, const ActorType& type, ActorKey key, ActorId id);
  ~Activation();

  Runtime& runtime() const { return runtime_; }
  const ActorType& type() const { return type_; }
  const ActorKey& key() const { return key_; }
  ActorId id() const { return id_; }
  /// The actor's state; null type when the class is not Stateful.
  StateView state() const;
  TimePoint now() const;  // read anew: for deadlines and alarms

  /// Ends the activation as soon as every facet agrees; no input runs meanwhile.
  void stop_when_settled();

  /// Holds inputs back until resume(). Not while the activation loads.
  void pause();
  void resume();

  /// The activation has loaded: inputs run from now on. Answers Ready::kLater.
  void ready();
  /// It cannot load: every input that waits gets `error`, and the activation ends. A later message tries again.
  void failed(Error error);
  /// Replaces the actor by a new one of its type, with the state of a new one.
  /// @error kInternal: its constructor has thrown. There is no actor then: the activation must end (failed()).
  Status replace_actor();
  /// Lets effects out.
  void emit(Effects effects);
  /// @returns a reply with `error` to the asker of `reply`.
  detail::EnvelopePtr error_in_place_of(detail::EnvelopePtr reply, const Error& error);
  /// Lets `error` out in place of `reply`.
  void emit_error(detail::EnvelopePtr reply, const Error& error);
  /// Answers `request` with `error`. Nothing happens when nobody asked.
  void answer(detail::EnvelopePtr request, const Error& error);
  /// Answers `request` with the reply that encode() gave. Nothing happens when nobody asked.
  void answer(detail::EnvelopePtr request, std::string_view encoded_reply);

  /// Ends the activation when it is idle, no turn is open and every facet agrees. @returns whether it ends: before any
  /// other input; a message that comes now makes a new one.
  bool passivate();
  /// Ends the activation at once: what is queued is sent again by key, to a new activation. `again`: one is made in any
  /// case.
  void discard(bool again = false);

  /// The facet of class `F`, or null.
  template <class F>
  F* facet() const {
    for (const auto& facet : facets_)
      if (auto* found = dynamic_cast<F*>(facet.get())) return found;
    return nullptr;
  }
  /// Actors with facets do not move between workers: their timers and what their facets hold belong to one.
  detail::Worker& worker() const { return *worker_; }

 private:
  friend class detail::Worker;
  friend class Runtime;
  Runtime& runtime_;
  const ActorType& type_;
  ActorKey key_;
  ActorId id_;
  detail::Worker* worker_ = nullptr;
  detail::ActorCell* cell_ = nullptr;
  std::vector<std::unique_ptr<Facet>> facets_;
  std::optional<Error> failure_;
  bool again_ = false;
  bool stop_asked_ = false;
  std::size_t activating_ = 0;  // facets whose on_activate() has been called
};

/// A timer of a facet: calls `function` on the activation's worker. Destroying it disarms it.
class Alarm {
 public:
  Alarm(Activation& activation, std::move_only_function<void()> function)
      : activation_(activation), function_(std::move(function)) {}
  Alarm(const Alarm&) = delete;
  ~Alarm() { disarm(); }

  /// Replaces an earlier time. `function` is called once, not before `time`.
  void arm(TimePoint time);
  void disarm();
  bool armed() const { return timer_.armed(); }

 private:
  struct AlarmTimer : detail::Timer {
    Alarm* alarm = nullptr;
  };
  Activation& activation_;
  std::move_only_function<void()> function_;
  AlarmTimer timer_;
};

}  // namespace plexspaces
