// What the tests of durability share: a bank of durable accounts, and a simulated process that runs it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/durable/durability.hpp"
#include "plexspaces/sim/disk.hpp"
#include "plexspaces/sim/executor.hpp"
#include "plexspaces/sim/world.hpp"
#include "plexspaces/store/sqlite_store.hpp"

namespace plexspaces::durability::testing_support {

struct Add {
  using Reply = std::int64_t;
  std::int64_t amount = 0;
};
struct Transfer {
  using Reply = std::int64_t;
  std::string to;
  std::int64_t amount = 0;
};
struct Credit {
  std::int64_t amount = 0;
};
struct Balance {
  using Reply = std::int64_t;
};
struct Fail {
  using Reply = std::int64_t;
  bool by_throw = false;
};
struct Grow {
  using Reply = std::int64_t;
  std::int64_t bytes = 0;
};
struct Reject {
  using Reply = std::int64_t;
  Bytes text;
};
struct Refuse {
  using Reply = std::int64_t;
  std::string text, cause;
};
struct Burst {
  using Reply = std::int64_t;
  std::int64_t messages = 0;
  std::int64_t bytes = 0;
};
struct Load {
  std::string ballast;
};
struct Query {
  std::string asker;
};
struct Inquire {
  using Reply = std::int64_t;
  std::string about;
};
struct Leave {
  using Reply = std::int64_t;
  std::string heir;
};
struct AnswerAhead {
  using Reply = std::int64_t;
  std::int64_t amount = 0;
};
struct AccountState {
  std::int64_t balance = 0;
  std::int64_t credits = 0;
  std::string ballast;
};
PLX_MESSAGE(Add, (1, amount));
PLX_MESSAGE(Transfer, (1, to), (2, amount));
PLX_MESSAGE(Credit, (1, amount));
PLX_MESSAGE(Balance);
PLX_MESSAGE(Fail, (1, by_throw));
PLX_MESSAGE(Grow, (1, bytes));
PLX_MESSAGE(Reject, (1, text));
PLX_MESSAGE(Refuse, (1, text), (2, cause));
PLX_MESSAGE(Burst, (1, messages), (2, bytes));
PLX_MESSAGE(Load, (1, ballast));
PLX_MESSAGE(Query, (1, asker));
PLX_MESSAGE(Inquire, (1, about));
PLX_MESSAGE(Leave, (1, heir));
PLX_MESSAGE(AnswerAhead, (1, amount));
PLX_MESSAGE(AccountState, (1, balance), (2, credits), (3, ballast));

// Is addressed by key, and not durable.
class Till : public GenServer<Till, Credit> {
 public:
  void handle(const Credit&, Context&) { ++credits; }
  static inline int credits = 0;
};

class Account : public GenServer<Account, Add, Transfer, Credit, Balance, Fail, Grow, Reject, Refuse, Burst, Load,
                                 Query, Inquire, Leave, AnswerAhead>,
                public Stateful<AccountState> {
 public:
  std::int64_t handle(const Add& m, Context&) { return state().balance += m.amount; }
  std::int64_t handle(const Transfer& m, Context& ctx) {
    ctx.actor<Account>(m.to).tell(Credit{m.amount});
    return state().balance -= m.amount;
  }
  void handle(const Credit& m, Context&) {
    if (m.amount == unlucky) {
      ++attempts;
      throw std::runtime_error("on purpose");
    }
    state().balance += m.amount;
    ++state().credits;
  }
  std::int64_t handle(const Balance&, Context&) const { return state().balance; }
  Result<std::int64_t> handle(const Fail& m, Context&) {
    ++attempts;
    state().balance += 1'000;
    if (m.by_throw) throw std::runtime_error("on purpose");
    return fail(Code::kOutOfRange, "no");
  }
  std::int64_t handle(const Grow& m, Context&) {
    state().ballast.assign(static_cast<std::size_t>(m.bytes), 'x');
    return m.bytes;
  }

  Result<std::int64_t> handle(const Reject& m, Context&) { return fail(Code::kOutOfRange, m.text.data); }
  Result<std::int64_t> handle(const Refuse& m, Context&) {
    Error cause = Error(Code::kUnavailable, m.cause).caused_by(Error(Code::kInternal, "and that too"));
    return std::unexpected(
        Error(Code::kAborted, m.text, "TST-0001", Error::Retry::kBackoff).caused_by(std::move(cause)));
  }
  std::int64_t handle(const Burst& m, Context& ctx) {
    for (std::int64_t i = 0; i < m.messages; ++i)
      ctx.actor<Account>("sink").tell(Load{std::string(static_cast<std::size_t>(m.bytes), 'x')});
    return ++state().balance;
  }
  void handle(const Load&, Context&) { ++state().credits; }
  // A read that answers by a message: what durable actors do instead of asking.
  void handle(const Query& m, Context& ctx) const { ctx.actor<Account>(m.asker).tell(Credit{1}); }
  std::int64_t handle(const Inquire& m, Context& ctx) {
    ctx.actor<Account>(m.about).tell(Query{ctx.key()->key});
    return 0;
  }
  std::int64_t handle(const Leave& m, Context& ctx) {
    ctx.actor<Account>(m.heir).tell(Credit{state().balance});
    ctx.stop();
    return std::exchange(state().balance, 0);
  }

  // A mistake: the answer would leave before the turn is committed.
  std::int64_t handle(const AnswerAhead& m, Context& ctx) {
    state().balance += m.amount;
    static_cast<void>(ctx.defer<AnswerAhead>().reply(state().balance));
    return 0;
  }

  static inline int attempts = 0;
  static inline std::int64_t unlucky = 0;  // a credit of this throws
};

inline ActorKey account(const std::string& key) { return {"default", "default", "account", key}; }

/// One life of a process: everything that a crash takes away.
struct Process {
  using StoreFactory = std::function<Result<std::unique_ptr<store::Store>>()>;

  Process(sim::World& world, std::unique_ptr<store::Store> opened, DurableOptions durable_options = {},
          VirtualActorOptions virtual_options = {}, RuntimeOptions runtime_options = {})
      : world(world),
        executor(world, {}),
        store(std::move(opened)),
        runtime(executor, with_types(durable_options, virtual_options), with_pick(std::move(runtime_options))),
        durability(runtime, *store, world.clock, world.random) {
    runtime.set_log([](const std::string&) {});
    durability.on_store_failure([this](const Error&) { store_failed = true; });
  }
  ~Process() { executor.crash(); }

  Status start() {
    PLX_TRY_STATUS(durability.recover());
    PLX_TRY_STATUS(runtime.start());
    return durability.resume_outbox();
  }

  const Types& with_types(DurableOptions durable_options, VirtualActorOptions virtual_options) {
    types.add<Account>("account", {.facets = {durable(durable_options), virtual_actor(virtual_options)}});
    types.add<Till>("till", {.facets = {virtual_actor(virtual_options)}});
    return types;
  }
  RuntimeOptions with_pick(RuntimeOptions options) {
    options.pick = [this](std::size_t count) { return static_cast<std::size_t>(world.random.below(count)); };
    return options;
  }

  /// Sends `message`; `done` gets the reply once.
  template <class M>
  void send(const std::string& key, M message, std::string client_key, std::function<void(Result<ReplyOf<M>>)> done) {
    Delivery delivery{account(key), {}, false, 0};
    if (!client_key.empty()) {
      delivery.id.kind = InputId::Kind::kClient;
      delivery.id.client_key = std::move(client_key);
    }
    deliver<M>(detail::make_keyed_envelope(nullptr, message_info<M>(), std::move(delivery)), std::move(message),
               [done = std::move(done)](Answer answer) { done(answer.take<ReplyOf<M>>()); });
  }
  void erase(const std::string& key, std::string client_key, std::function<void(Status)> done) {
    Delivery delivery{account(key), {}, true, 0};
    delivery.id.kind = InputId::Kind::kClient;
    delivery.id.client_key = std::move(client_key);
    auto* envelope = detail::make_keyed_envelope(nullptr, erase_message_info(), std::move(delivery));
    post(envelope, [done = std::move(done)](Answer answer) { done(answer.take<void>()); });
  }

  /// Sends and steps until the answer is there. Empty: none came.
  template <class M>
  std::optional<Result<ReplyOf<M>>> ask(const std::string& key, M message, std::string client_key = {}) {
    // Shared with an answer that comes after the wait has ended.
    auto result = std::make_shared<std::optional<Result<ReplyOf<M>>>>();
    send<M>(key, std::move(message), std::move(client_key), [result](auto answer) { *result = std::move(answer); });
    executor.run_until([&] { return result->has_value(); }, 100'000);
    return *result;
  }
  std::optional<Status> erase_and_wait(const std::string& key, std::string client_key) {
    auto result = std::make_shared<std::optional<Status>>();
    erase(key, std::move(client_key), [result](Status answer) { *result = std::move(answer); });
    executor.run_until([&] { return result->has_value(); }, 100'000);
    return *result;
  }
  /// Lets `time` pass: what is under way ends, and timers fire.
  void settle(Duration time = 5s) { executor.run_for(time, 200'000); }

  sim::World& world;
  sim::SimExecutor executor;
  Types types;
  std::unique_ptr<store::Store> store;
  Runtime runtime;
  Durability durability;
  bool store_failed = false;

 private:
  template <class M>
  void deliver(detail::Envelope* envelope, M message, std::move_only_function<void(Answer)> done) {
    envelope->payload_as<M>() = std::move(message);
    post(envelope, std::move(done));
  }
  void post(detail::Envelope* envelope, std::move_only_function<void(Answer)> done) {
    envelope->ask_for(make_sink(std::move(done)));
    static_cast<void>(runtime.deliver(envelope));
  }
};

}  // namespace plexspaces::durability::testing_support
