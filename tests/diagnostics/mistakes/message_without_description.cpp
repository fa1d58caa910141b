// A message without PLX_MESSAGE.
// expect: Undescribed
// expect: PLX_MESSAGE
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

struct Undescribed {};

class Counter : public GenServer<Counter, Undescribed> {
 public:
  void handle(const Undescribed&, Context&) {}
};

Counter counter;
