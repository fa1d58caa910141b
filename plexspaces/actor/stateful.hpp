// State that the runtime can store.
#pragma once

#include "plexspaces/codec/description.hpp"

namespace plexspaces {

/// A described value somewhere in an actor.
struct StateView {
  const ValueType* type = nullptr;
  void* value = nullptr;
};

/// Base of an actor whose state is the described struct `S`. With the durability facet it is stored with each turn and
/// loaded at activation; whatever else the actor holds is lost with its activation.
template <class S>
class Stateful {
 public:
  using State = S;

 protected:
  S& state() { return state_; }
  const S& state() const { return state_; }

 private:
  friend StateView state_of(Stateful& actor) { return {&value_type_of<S>(), &actor.state_}; }
  S state_{};
};

}  // namespace plexspaces
