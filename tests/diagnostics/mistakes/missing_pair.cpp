// A state machine without a handler for an event in one of its states.
// expect: In<Door::kClosed>, Go>
// expect: has no public handle(
#include "plexspaces/fsm.hpp"
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

enum class Door { kOpen, kClosed };
PLX_ENUM(Door, (1, kOpen), (2, kClosed));

class Machine : public GenFsm<Machine, Door, Go> {
 public:
  Machine() : GenFsm(Door::kClosed) {}
  Transition handle(In<Door::kOpen>, const Go&, Context&) { return next_state(Door::kClosed); }
};

Machine machine;
