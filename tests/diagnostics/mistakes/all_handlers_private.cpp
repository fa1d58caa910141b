// A class whose only handler is private, as it is registered with a node.
// expect: kHandlesIt<Counter, Get>
// expect: no public handle(const M&, Context&)
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

class Counter : public GenServer<Counter, Get> {
  int handle(const Get&, Context&) const { return 0; }
};

void add(Types& types) { types.add<Counter>("counter", {.facets = {virtual_actor()}}); }
