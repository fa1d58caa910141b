// A message with a map.
// expect: Prices:
// expect: map
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
  int shop = 0;
  std::map<std::string, int> by_name;
};
PLX_MESSAGE(Prices, (1, shop), (2, by_name));
