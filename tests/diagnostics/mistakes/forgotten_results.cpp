// An error that is forgotten makes the compiler warn; a tell may be forgotten.
#include <tuple>

#include "plexspaces/plexspaces.hpp"

using namespace plexspaces;
using namespace std::chrono_literals;

struct Get {
  using Reply = int;
};
PLX_MESSAGE(Get);
struct Go {};
PLX_MESSAGE(Go);

struct Store : GenServer<Store, Get> {
  int handle(const Get&, Context&) const { return 1; }
};

Status save();
Result<int> load();
Error describe();
Task<int> later();

struct Clerk : GenServer<Clerk, Go, Down, Exited, IdleTimeout> {
  Task<> handle(const Go&, Context& ctx) {
    save();                                   // warns
    load();                                   // warns
    describe();                               // warns
    later();                                  // warns
    co_await ctx.ask(store, Get{}, 1s);       // warns
    co_await ctx.send(store, Get{}, 1s);      // warns
    co_await ctx.blocking([] { return 1; });  // warns
    co_await ctx.ended(store, 1s);            // warns
    ctx.ask(store, Get{}, 1s);                // warns
    ctx.send(store, Get{}, 1s);               // warns
    ctx.sleep(1s);                            // warns
    ctx.spawn<Store>();                       // warns
    ctx.spawn_linked<Store>();                // warns
    ctx.send_after(1s, Go{});                 // warns
    ctx.send_every(1s, Go{});                 // warns
    ctx.monitor(store);                       // warns
    ctx.link(store);                          // warns
    ctx.trap_exits(true);                     // warns
    ctx.stash();                              // warns
    ctx.hibernate();                          // warns
    ctx.idle_timeout(1s);                     // warns
    ctx.continue_with(Go{});                  // warns
    ctx.kill(store);                          // warns
    ctx.exit(store, ExitReason::shutdown());  // warns
    store.ask(Get{}, 1s);                     // warns
    store.send(Get{}, 1s);                    // warns
    ctx.runtime().spawn<Store>("");           // warns
    ctx.runtime().find<Store>("store");       // warns
    ctx.actor<Store>("key").ask(Get{}, 1s);   // warns
    store.tell(Get{});
    store.tell(Get{}, Ttl{1s});
    ctx.tell(store, Get{});
    ctx.actor<Store>("key").tell(Get{});
    ctx.unlink(store);
    std::ignore = ctx.send_after(1s, Go{});
    static_cast<void>(save());
  }
  void handle(const Down&, Context&) {}
  void handle(const Exited&, Context&) {}
  void handle(const IdleTimeout&, Context&) {}
  ActorRef<Store> store;
};
