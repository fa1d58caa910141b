// A server, with its header alone.
#include "plexspaces/behavior/gen_server.hpp"

using namespace plexspaces;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);

class Other : public GenServer<Other, Get> {
 public:
  int handle(const Get&, Context&) const { return 1; }
};

class Server : public GenServer<Server, Get> {
 public:
  Task<Result<int>> handle(const Get&, Context& ctx) {
    PLX_CO_TRY(other, ctx.spawn<Other>());
    other.tell(Get{});
    PLX_CO_TRY_STATUS(co_await ctx.send(other, Get{}, 1s));
    PLX_CO_TRY(blocked, co_await ctx.blocking([] { return 1; }));
    co_await ctx.sleep(1s);
    auto [first, second] = co_await ctx.all(ctx.ask(other, Get{}, 1s), ctx.ask(other, Get{}, 1s));
    ctx.stop();
    co_return first.value() + second.value() + blocked;
  }
};

Result<ActorRef<Server>> use(Runtime& runtime) { return runtime.spawn<Server>("server"); }
