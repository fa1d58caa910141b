// A message with a variant.
// expect: Price:
// expect: variant
#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

struct Price {
  std::variant<int, double> value;
};
PLX_MESSAGE(Price, (1, value));
