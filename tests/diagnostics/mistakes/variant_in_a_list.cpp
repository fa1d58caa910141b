// A message with a list of variants.
// expect: Prices:
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

struct Prices {
  std::vector<std::variant<int, double>> values;
};
PLX_MESSAGE(Prices, (1, values));
