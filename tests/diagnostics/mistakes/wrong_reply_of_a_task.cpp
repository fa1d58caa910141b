// A handler that waits and returns something else than the Reply of its message.
// expect: kReturnsReply<
// expect: Task<
// expect: neither the message's Reply
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
 public:
  Task<Result<std::string>> handle(const Get&, Context&) { co_return "many"; }
};

Counter counter;
