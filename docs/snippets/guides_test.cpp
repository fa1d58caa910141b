// The code that the guides show, as tests that run it.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plexspaces/api/operations.hpp"
#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/compatibility.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/plexspaces.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"
#include "plexspaces/store/sqlite_store.hpp"

namespace {

using namespace plexspaces;
using testing::HasSubstr;

// docs-snippet: messages
enum class Delivery { kStandard, kExpress };
PLX_ENUM(Delivery, (1, kStandard), (2, kExpress));

struct Line {
  std::string sku;
  std::int32_t quantity;
};
PLX_MESSAGE(Line, (1, sku), (2, quantity));

struct PlaceOrder {
  using Reply = std::int64_t;  // how many orders the customer has placed
  std::vector<Line> lines;
  Delivery delivery = Delivery::kStandard;
  std::optional<std::string> note;
};
PLX_MESSAGE(PlaceOrder, (1, lines), (2, delivery), (3, note));
// docs-snippet-end

TEST(MessagesGuide, JsonIsReadAndWrittenAsThePageSays) {
  auto order = from_json<PlaceOrder>(R"({"lines": [{"sku": "tea", "quantity": 2}], "delivery": "kExpress"})");
  ASSERT_TRUE(order) << order.error().to_string();
  EXPECT_EQ(to_json(*order), R"({"lines":[{"sku":"tea","quantity":2}],"delivery":"kExpress"})");
  EXPECT_EQ(from_json<PlaceOrder>("")->delivery, Delivery::kStandard);
  EXPECT_EQ(from_json<PlaceOrder>(R"({"lines": [{"sku": "tea"}]})").error().domain(), "PLX-COD-0003");
  EXPECT_EQ(from_json<PlaceOrder>(R"({"delivery": "fast"})").error().domain(), "PLX-COD-0006");
}

namespace later {

// docs-snippet: evolved
// Field 2 was `quantity`: its number stays reserved. Field 3 is new and has a default.
struct Line {
  std::string sku;
  double amount = 1;
};
PLX_MESSAGE(Line, (1, sku), PLX_RESERVED(2), (3, amount));
// docs-snippet-end

struct Careless {
  std::string sku;
  double amount;
};
PLX_MESSAGE(Careless, (1, sku), (2, amount));

}  // namespace later

TEST(MessagesGuide, TheChangeOfThePageIsCompatibleAndACarelessOneIsNot) {
  auto v1 = describe(description_of<Line>());
  EXPECT_TRUE(check_compatible(v1, describe(description_of<later::Line>())));
  EXPECT_FALSE(check_compatible(v1, describe(description_of<later::Careless>())));
  auto read = decode<later::Line>(encode(Line{"tea", 2}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sku, "tea");
  EXPECT_EQ(read->amount, 1);
}

// docs-snippet: stock
struct Reserve {  // no Reply: nothing is answered but that it was done
  std::int32_t quantity;
};
PLX_MESSAGE(Reserve, (1, quantity));

struct GetReserved {
  using Reply = std::int64_t;
};
PLX_MESSAGE(GetReserved);

struct StockState {
  std::int64_t reserved = 0;
};
PLX_MESSAGE(StockState, (1, reserved));

class Stock : public GenServer<Stock, Reserve, GetReserved>, public Stateful<StockState> {
 public:
  void handle(const Reserve& m, Context&) { state().reserved += m.quantity; }
  std::int64_t handle(const GetReserved&, Context&) const { return state().reserved; }
};
// docs-snippet-end

struct CustomerState {
  std::int64_t orders = 0;
};
PLX_MESSAGE(CustomerState, (1, orders));

// docs-snippet: customer
class Customer : public GenServer<Customer, PlaceOrder>, public Stateful<CustomerState> {
 public:
  Result<std::int64_t> handle(const PlaceOrder& order, Context& ctx) {
    // First everything that can be wrong, then what changes.
    if (order.lines.empty()) return fail(Code::kInvalidArgument, "an order has at least one line");
    for (const Line& line : order.lines) {
      if (line.quantity < 1) return fail(Code::kInvalidArgument, "the quantity of a line is at least 1");
      PLX_TRY_STATUS(ActorKey{ctx.tenant(), ctx.name_space(), "stock", line.sku}.check());
    }

    for (const Line& line : order.lines) PLX_TRY_STATUS(ctx.actor<Stock>(line.sku).tell(Reserve{line.quantity}));
    return ++state().orders;
  }
};
// docs-snippet-end

// docs-snippet: register
void register_types(Types& types) {
  types.add<Customer>("customer", {.facets = {durable(), virtual_actor({.idle_timeout = 1min})}});
  types.add<Stock>("stock", {.facets = {durable(), virtual_actor()}});
}
// docs-snippet-end

// docs-snippet: simulated-node
// One life of a node, in virtual time. What is not on the simulated disk goes with it.
struct SimulatedNode {
  SimulatedNode(sim::World& world, sim::SimDisk& disk, const Types& types)
      : executor(world, {}),
        store(store::open_sqlite(disk, world.random, world.clock, "data").value()),
        runtime(executor, types),
        durability(runtime, *store, world.clock, world.random),
        operations(runtime, durability) {
    EXPECT_TRUE(durability.recover() && runtime.start() && durability.resume_outbox());
  }
  ~SimulatedNode() { executor.crash(); }

  // The reply's JSON, or the error; nothing when the node did not answer.
  std::optional<Result<std::string>> send(api::InvokeRequest request, std::size_t steps_max = 100'000) {
    auto answer = std::make_shared<std::optional<Result<std::string>>>();
    operations.invoke(std::move(request), [answer](Result<api::InvokeReply> reply) {
      *answer = reply ? Result<std::string>(reply->body) : std::unexpected(reply.error());
    });
    executor.run_until([&] { return answer->has_value(); }, steps_max);
    return *answer;
  }

  sim::SimExecutor executor;
  std::unique_ptr<store::Store> store;
  Runtime runtime;
  durability::Durability durability;
  api::Operations operations;
};
// docs-snippet-end

Types shop_types() {
  Types types;
  register_types(types);
  return types;
}

// docs-snippet: simulation-test
TEST(ShopTest, AnOrderReservesStockOnceWheneverThePowerFails) {
  Types types = shop_types();
  api::InvokeRequest order{.verb = api::Verb::kUpdate,
                           .target = {"default", "shop", "customer", "ada"},
                           .body = R"({"lines": [{"sku": "tea", "quantity": 2}]})",
                           .idempotency_key = "order-1"};
  api::InvokeRequest reserved{.target = {"default", "shop", "stock", "tea"}};

  std::uint64_t crash_at = 1;
  for (std::size_t lives = 0; lives != 1; ++crash_at) {  // until an order needs no second life
    sim::World world(crash_at);
    sim::SimDisk disk(world);
    std::optional<Result<std::string>> answer;
    for (lives = 0; !answer || !*answer; ++lives) {
      SimulatedNode node(world, disk, types);
      if (lives == 0) disk.die_at(crash_at);  // the n-th operation on the disk is the last
      answer = node.send(order, 2'000);
      if (!answer || !*answer) disk.crash();  // keeps, loses or tears what was not synced
    }
    EXPECT_EQ(**answer, "1");

    disk.crash();  // and once more, with the answer given
    SimulatedNode node(world, disk, types);
    EXPECT_TRUE(node.executor.run_until([&] { return node.durability.outbox_pending() == 0; }, 100'000));
    EXPECT_EQ(node.send(reserved)->value(), "2") << "crash at operation " << crash_at;
  }
  EXPECT_GT(crash_at, 3u);  // some orders did need one
}
// docs-snippet-end

TEST(ShopTest, ABadOrderIsRefusedAndChangesNothing) {
  Types types = shop_types();
  sim::World world(1);
  sim::SimDisk disk(world);
  SimulatedNode node(world, disk, types);
  auto answer = node.send({.verb = api::Verb::kUpdate, .target = {"default", "shop", "customer", "ada"}, .body = "{}"});
  EXPECT_EQ((*answer).error().message(), "an order has at least one line");
  answer = node.send({.verb = api::Verb::kUpdate,
                      .target = {"default", "shop", "customer", "ada"},
                      .body = R"({"lines": [{"sku": "tea", "quantity": 1}, {"sku": "", "quantity": 1}]})"});
  EXPECT_EQ((*answer).error().domain(), "PLX-KEY-0001");
  EXPECT_EQ(node.send({.target = {"default", "shop", "stock", "tea"}})->value(), "0");
  answer = node.send({.verb = api::Verb::kUpdate,
                      .target = {"default", "shop", "customer", "ada"},
                      .body = R"({"lines": [{"sku": "tea", "quantity": 1}]})"});
  EXPECT_EQ(answer->value(), "1");
}

}  // namespace
