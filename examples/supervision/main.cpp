// Every strategy in a small tree, then a shop whose parts break down, and are there again: `supervision [ORDERS]`.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/node/local/local_runtime.hpp"
#include "plexspaces/supervision/application.hpp"
#include "plexspaces/supervision/tree_view.hpp"

#include "strategies.hpp"

namespace {

using namespace plexspaces;

constexpr int kAttemptsMax = 1'000;  // of one order
constexpr std::uint32_t kSpare = 6;  // restarts that the shipping department has left after all orders
constexpr int kStartsToFail = 10;    // more than that

struct Charge {
  using Reply = std::uint64_t;  // how much was taken so far
  std::uint64_t cents = 0;
};
struct Print {
  using Reply = std::string;
  std::uint64_t order = 0;
};
struct Deliver {
  using Reply = std::string;  // the label on the parcel
  std::uint64_t order = 0;
};
struct FailFromNowOn {};
PLX_MESSAGE(Charge, (1, cents));
PLX_MESSAGE(Print, (1, order));
PLX_MESSAGE(Deliver, (1, order));
PLX_MESSAGE(FailFromNowOn);

// What outlives every crash, as it is outside the actors: only here to check them.
struct Witness {
  std::atomic<std::uint64_t> charge_crashes{0}, print_crashes{0};
  std::atomic<int> starts_to_fail{0};  // of the label printer
  std::mutex mutex;
  std::vector<std::string> stopped;
};

// docs-snippet: children
/// Takes money. Each seventh charge ends it before the money is taken; its state then is gone.
class Payments : public GenServer<Payments, Charge> {
 public:
  explicit Payments(Witness* witness) : witness_(*witness) {}
  std::uint64_t handle(const Charge& charge, Context&) {
    if (++charges_ == 7) {
      ++witness_.charge_crashes;
      throw std::runtime_error("the bank does not answer");
    }
    return taken_ += charge.cents;
  }
  Task<> on_stop(Context&, const ExitReason& reason) override {
    std::lock_guard lock(witness_.mutex);
    if (reason.kind == ExitKind::kShutdown) witness_.stopped.push_back("payments");
    co_return;
  }

 private:
  Witness& witness_;
  std::uint64_t charges_ = 0, taken_ = 0;
};
// docs-snippet-end

/// Prints labels. Each fifth one jams it; a printer that is out of order does not even start.
class Labels : public GenServer<Labels, Print, FailFromNowOn> {
 public:
  explicit Labels(Witness* witness) : witness_(*witness) {}
  Status on_start(Context&) override {
    if (witness_.starts_to_fail.load() == 0) return {};
    --witness_.starts_to_fail;
    return fail(Code::kUnavailable, "out of order");
  }
  std::string handle(const Print& print, Context&) {
    if (++printed_ == 5) {
      ++witness_.print_crashes;
      throw std::runtime_error("paper jam");
    }
    return fmt::format("parcel {}", print.order);
  }
  void handle(const FailFromNowOn&, Context& ctx) {
    witness_.starts_to_fail = kStartsToFail;
    ctx.exit(ExitReason::error("out of order"));
  }

 private:
  Witness& witness_;
  std::uint64_t printed_ = 0;
};

// docs-snippet: courier
/// Knows the printer from its start on. A printer that was restarted is another actor, so with rest_for_one the courier
/// is restarted after it and never holds a reference to one that is gone.
class Courier : public GenServer<Courier, Deliver> {
 public:
  explicit Courier(Witness* witness) : witness_(*witness) {}
  Status on_start(Context& ctx) override {
    PLX_TRY(labels, ctx.runtime().find<Labels>("labels"));
    labels_ = labels;
    return {};
  }
  Task<Result<std::string>> handle(const Deliver& deliver, Context& ctx) {
    auto label = co_await ctx.ask(labels_, Print{deliver.order}, 10s);
    co_return label;
  }
  Task<> on_stop(Context&, const ExitReason& reason) override {
    std::lock_guard lock(witness_.mutex);
    if (reason.kind == ExitKind::kShutdown) witness_.stopped.push_back("courier");
    co_return;
  }

 private:
  Witness& witness_;
  ActorRef<Labels> labels_;
};
// docs-snippet-end

// docs-snippet: tree
SupervisorSpec shop(Witness* witness, std::uint32_t patience) {
  auto shipping = supervisor("shipping", rest_for_one, {.intensity = patience, .period = 1h})
                      .child<Labels>("labels", permanent, {.name = "labels"}, witness)
                      .child<Courier>("courier", permanent, {.shutdown = 1s, .name = "courier"}, witness);
  return supervisor("shop", one_for_one, {.intensity = 100'000, .period = 1h})
      .child<Payments>("payments", permanent, {.shutdown = 1s, .name = "payments"}, witness)
      .child(std::move(shipping));
}
// docs-snippet-end

// Asks the actor of that name until it answers: it may end before, or be away for a moment.
template <class A, class M>
Result<ReplyOf<M>> ask_until_answered(Runtime& runtime, ActorRef<Supervisor> root, const std::string& name,
                                      const M& message) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (auto actor = runtime.find<A>(name)) {
      auto answer = actor->ask(message, 10s);
      if (answer) return answer;
    }
    PLX_TRY_STATUS(root.ask(CountChildren{}, 10s));  // behind what the supervisor does for those that have ended
  }
  return fail(Code::kUnavailable, fmt::format("'{}' has not answered in {} attempts", name, kAttemptsMax));
}

const TreeView& child_of(const TreeView& view, const std::string& id) {
  for (const TreeView& child : view.children)
    if (child.id == id) return child;
  fmt::print("no child '{}'\n{}", id, to_text(view));
  std::exit(1);
}

int wrong = 0;
void expect(bool holds, const std::string& what) {
  if (holds) return;
  fmt::print("wrong: {}\n", what);
  ++wrong;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t orders = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 60;
  if (orders < 1 || orders > 100'000) {
    fmt::print(stderr, "usage: supervision [ORDERS], 1 to 100000\n");
    return 2;
  }
  wrong += check_strategies();
  Witness witness;
  LocalRuntime local;
  Runtime& runtime = local.runtime();
  // docs-snippet: start
  auto patience = static_cast<std::uint32_t>((orders - 1) / 4) + kSpare;
  ActorRef<Supervisor> root = start_tree(runtime, shop(&witness, patience), 10s).value();
  // docs-snippet-end

  for (std::uint64_t order = 0; order < orders; ++order) {
    auto taken = ask_until_answered<Payments>(runtime, root, "payments", Charge{100});
    auto label = ask_until_answered<Courier>(runtime, root, "courier", Deliver{order});
    expect(taken.has_value(), fmt::format("order {} is not paid", order));
    expect(label == fmt::format("parcel {}", order), fmt::format("order {} is not delivered", order));
  }

  // docs-snippet: view
  TreeView view = view_tree(root, 10s).value();
  fmt::print("{}", to_text(view));
  // docs-snippet-end
  const TreeView& shipping = child_of(view, "shipping");
  std::uint64_t payments = child_of(view, "payments").restarts, labels = child_of(shipping, "labels").restarts;
  expect(payments == (orders - 1) / 6 && payments == witness.charge_crashes, "payments: a restart for each crash");
  expect(labels == (orders - 1) / 4 && labels == witness.print_crashes, "the printer: a restart for each crash");
  expect(child_of(shipping, "courier").restarts == labels, "the courier is restarted with the printer");
  expect(shipping.restarts == 0, "the department bears that itself");

  // The printer is out of order for longer than its supervisor has patience: the shop starts the whole department anew.
  runtime.find<Labels>("labels").value().tell(FailFromNowOn{});
  auto label = ask_until_answered<Courier>(runtime, root, "courier", Deliver{orders});
  expect(label == fmt::format("parcel {}", orders), "a parcel after the escalation");
  TreeView after = view_tree(root, 10s).value();
  fmt::print("\nafter the escalation:\n{}", to_text(after));
  expect(child_of(after, "shipping").restarts == 1, "the shop has restarted the department once");
  expect(child_of(child_of(after, "shipping"), "labels").restarts == 0, "its children are new ones");

  expect(stop_tree(root, 10s).has_value(), "the shop closes in time");
  std::lock_guard lock(witness.mutex);
  std::vector<std::string> last_two(witness.stopped.end() - 2, witness.stopped.end());
  expect(last_two == std::vector<std::string>{"courier", "payments"}, "it closes right to left");
  fmt::print("\n{} orders, {} crashes: {}\n", orders, witness.charge_crashes + witness.print_crashes,
             wrong == 0 ? "all paid and delivered" : "not as it should be");
  return wrong == 0 ? 0 : 1;
}
