// A state machine whose handler answers with another type than the Reply of the event.
// expect: answered_in_all_states<Get>
// expect: Get>
// expect: Reply
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

class Machine : public GenFsm<Machine, Door, Get> {
 public:
  Machine() : GenFsm(Door::kClosed) {}
  std::string handle(AnyState, const Get&, Context&) { return "many"; }
};

Machine machine;
