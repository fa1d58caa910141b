// A handler that waits for something that no Context has made.
// expect: waits only through its Context
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

class Counter : public GenServer<Counter, Go> {
 public:
  Task<> handle(const Go&, Context&) { co_await std::suspend_always{}; }
};
