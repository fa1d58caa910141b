// What compiles: a Task of a Status or a Result that returns {}, also fail() and a value.
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
  Task<Result<int>> handle(const Get&, Context&) {
    if (busy_) co_return fail(Code::kUnavailable, "busy");
    co_return {};
  }
  Task<Status> handle(const Go&, Context&) { co_return {}; }

 private:
  bool busy_ = false;
};

Counter counter;
