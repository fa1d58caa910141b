// A handler that returns nothing though its message has a Reply.
// expect: kReturnsReply<void, Get>
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
  void handle(const Get&, Context&) {}
};

Counter counter;
