// References, with their header alone.
#include "plexspaces/actor/actor_ref.hpp"

#include <tuple>

using namespace plexspaces;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);

struct Anything {
  template <class M>
  static constexpr bool kHandles = true;
};

void use(ActorRef<Anything> one, const KeyedRef<Anything>& other) {
  one.tell(Get{});
  one.tell(Get{}, Ttl{1s});
  std::ignore = one.ask(Get{}, 1s);
  std::ignore = one.send(Get{}, 1s);
  other.tell(Get{});
  std::ignore = other.ask(Get{}, 1s);
}
