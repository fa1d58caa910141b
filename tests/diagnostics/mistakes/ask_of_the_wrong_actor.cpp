// An ask of an actor that does not handle it.
// expect: kHandles<Go>
// expect: this actor does not handle this message
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

class Counter : public GenServer<Counter, Get, Go> {
 public:
  int handle(const Get&, Context&) const { return 0; }
  Task<> handle(const Go&, Context& ctx) { std::ignore = co_await ctx.ask(other, Go{}, 1s); }

 private:
  class Other : public GenServer<Other, Get> {
   public:
    int handle(const Get&, Context&) const { return 0; }
  };
  ActorRef<Other> other;
};
