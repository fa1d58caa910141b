// The registration of types, with its header and that of servers alone.
#include "plexspaces/actor/types.hpp"

#include "plexspaces/behavior/gen_server.hpp"

using namespace plexspaces;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);

class Server : public GenServer<Server, Get> {
 public:
  int handle(const Get&, Context&) const { return 1; }
};

void use(Types& types) { types.add<Server>("server"); }
