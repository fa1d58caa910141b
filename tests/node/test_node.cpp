// A node with the actor types that the process tests use.
#include <cstdint>
#include <string>
#include <vector>

#include "plexspaces/plexspaces.hpp"

namespace {

using plexspaces::Code;
using plexspaces::Context;
using plexspaces::GenServer;
using plexspaces::Result;
using plexspaces::Stateful;

struct Add {
  using Reply = std::int64_t;
  std::int64_t by;  // required
  std::int32_t small = 0;
};
PLX_MESSAGE(Add, (1, by), (2, small));

struct Clear {
  using Reply = void;
};
PLX_MESSAGE(Clear);

struct Get {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Get);

struct Sum {
  std::int64_t value = 0;
};
PLX_MESSAGE(Sum, (1, value));

class Counter : public GenServer<Counter, Add, Clear, Get>, public Stateful<Sum> {
 public:
  Result<std::int64_t> handle(const Add& add, Context&) {
    if (add.by < 0) return plexspaces::fail(Code::kInvalidArgument, "a counter only grows", "TST-0001");
    return state().value += add.by;
  }
  void handle(const Clear&, Context&) { state().value = 0; }
  Result<std::int64_t> handle(const Get&, Context&) const { return state().value; }
};

}  // namespace

int main(int argc, char** argv) {
  return plexspaces::run(argc, argv, [](plexspaces::Types& types) {
    types.add<Counter>("counter", {.facets = {plexspaces::durable(), plexspaces::virtual_actor()}});
  });
}
