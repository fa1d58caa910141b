// A handler that returns something else than the Reply of its message.
// expect: kReturnsReply<
// expect: std::basic_string<char
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
  std::string handle(const Get&, Context&) const { return "many"; }
};

void start(Runtime& runtime) { std::ignore = runtime.spawn<Counter>("counter"); }
