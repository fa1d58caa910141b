// A token goes round a ring of actors: `ring [ACTORS] [HOPS]` (README.md).
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"

namespace {

using namespace plexspaces;

/// Makes the first node start the others, so that they are a ring.
struct Grow {};
PLX_MESSAGE(Grow);

struct Token {
  std::uint64_t hops_left = 0;
};
PLX_MESSAGE(Token, (1, hops_left));

/// Goes round once, after the token: each node writes down how often it has passed the token on.
struct Census {
  std::uint32_t nodes_left = 0;
  std::vector<std::uint64_t> hops;  // by the number of the node
};
PLX_MESSAGE(Census, (1, nodes_left), (2, hops));

using Hops = std::promise<std::vector<std::uint64_t>>;

class Node : public GenServer<Node, Grow, Token, Census> {
 public:
  Node(std::uint32_t number, std::uint32_t actors, ActorRef<Node> next, Hops* result)
      : number_(number), actors_(actors), next_(next), result_(result) {}

  Status handle(const Grow&, Context& ctx) {
    next_ = ctx.self<Node>();
    for (std::uint32_t number = actors_ - 1; number > 0; --number) {  // from the last one, which knows the first
      PLX_TRY(node, ctx.spawn<Node>(number, actors_, next_, result_));
      next_ = node;
    }
    return {};
  }

  Status handle(const Token& token, Context&) {
    if (token.hops_left == 0) return next_.tell(Census{actors_, std::vector<std::uint64_t>(actors_)});
    ++hops_;
    return next_.tell(Token{token.hops_left - 1});
  }

  Status handle(const Census& census, Context&) {
    std::vector<std::uint64_t> hops = census.hops;
    hops[number_] = hops_;
    if (census.nodes_left > 1) return next_.tell(Census{census.nodes_left - 1, std::move(hops)});
    result_->set_value(std::move(hops));
    return {};
  }

 private:
  std::uint32_t number_;
  std::uint32_t actors_;  // in the ring
  ActorRef<Node> next_;
  Hops* result_;
  std::uint64_t hops_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  auto actors = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000);
  std::uint64_t hops = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'003;
  if (actors == 0) {
    fmt::print(stderr, "usage: ring [ACTORS] [HOPS], at least one actor\n");
    return 2;
  }

  Hops result;
  LocalRuntime runtime;

  auto first = runtime.spawn<Node>("first", 0u, actors, ActorRef<Node>(), &result).value();
  first.ask(Grow{}, 1min).value();
  auto began = std::chrono::steady_clock::now();
  first.tell(Token{hops}).value();
  std::vector<std::uint64_t> seen = result.get_future().get();
  std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
  runtime.stop();

  // The token started at node 0, so the first nodes have passed it on once more than the others.
  int wrong = 0;
  for (std::size_t i = 0; i < actors; ++i) {
    std::uint64_t expected = hops / actors + (i < hops % actors ? 1 : 0);
    if (seen[i] == expected) continue;
    fmt::print("node {} passed the token on {} times, expected {}\n", i, seen[i], expected);
    ++wrong;
  }
  fmt::print("{} hops round {} actors: {:.0f} ns/hop\n", hops, actors, took.count() / static_cast<double>(hops));
  return wrong == 0 ? 0 : 1;
}
