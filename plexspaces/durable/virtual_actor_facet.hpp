// The end of an activation that nobody needs.
#pragma once

#include "plexspaces/actor/facet.hpp"
#include "plexspaces/durable/durability_facet.hpp"
#include "plexspaces/durable/options.hpp"
#include "plexspaces/env/probe.hpp"

namespace plexspaces::durability {

/// The virtual-actor facet: passivates the actor when no input has come for idle_timeout.
class VirtualActorFacet final : public Facet {
 public:
  VirtualActorFacet(Activation& activation, VirtualActorOptions options)
      : activation_(activation),
        options_(options),
        last_input_(activation.now()),
        alarm_(activation, [this] { look(); }) {}

  Ready on_activate(Activation&) override {
    alarm_.arm(saturating_add(last_input_, options_.idle_timeout));
    return Ready::kNow;
  }
  Admission admit(Turn&) override {
    last_input_ = activation_.now();
    return Admission::kRun;
  }

 private:
  // Armed once per idle_timeout, not once per input.
  void look() {
    TimePoint idle_at = saturating_add(last_input_, options_.idle_timeout);
    TimePoint now = activation_.now();
    if (now < idle_at) return alarm_.arm(idle_at);
    alarm_.arm(saturating_add(now, options_.idle_timeout));  // if it is not idle after all
    if (auto* durable = activation_.facet<DurabilityFacet>(); durable != nullptr && durable->has_outbox()) return;
    if (activation_.passivate()) reached(Probe::kPassivated);
  }

  Activation& activation_;
  const VirtualActorOptions options_;
  TimePoint last_input_;
  Alarm alarm_;
};

}  // namespace plexspaces::durability
