// What compiles: names that a program is likely to have, beside ours.
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

struct Retry {
  int attempts = 3;
};
enum class Kind { kSmall, kLarge };

Retry retry;
Kind kind = Kind::kSmall;
