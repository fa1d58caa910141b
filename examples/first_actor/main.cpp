// A counter that keeps its count when its process is killed: `first_actor dev` serves it (README.md).

// docs-snippet: first-actor
#include "plexspaces/plexspaces.hpp"

struct Increment {
  using Reply = std::int64_t;
  std::int64_t by = 1;
};
PLX_MESSAGE(Increment, (1, by));

struct Get {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Get);

struct CounterState {
  std::int64_t count = 0;
};
PLX_MESSAGE(CounterState, (1, count));

class Counter : public plexspaces::GenServer<Counter, Increment, Get>, public plexspaces::Stateful<CounterState> {
 public:
  std::int64_t handle(const Increment& m, plexspaces::Context&) { return state().count += m.by; }
  std::int64_t handle(const Get&, plexspaces::Context&) const { return state().count; }  // const: a read
};

int main(int argc, char** argv) {
  return plexspaces::run(argc, argv, [](plexspaces::Types& types) {
    types.add<Counter>("counter", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
  });
}
// docs-snippet-end
