// A handler that is private.
// expect: kHandlesIt<Counter, Go>
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

class Counter : public GenServer<Counter, Get, Go> {
 public:
  int handle(const Get&, Context&) const { return count_; }

 private:
  void handle(const Go&, Context&) { ++count_; }
  int count_ = 0;
};

Counter counter;
