// The router behaviour: passes messages on to workers that are found by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/actor/runtime.hpp"
#include "plexspaces/behavior/gen_server.hpp"
#include "plexspaces/behavior/routing.hpp"

namespace plexspaces {

namespace detail {

Error no_worker_error(std::size_t workers);
std::vector<std::string> checked_worker_names(std::vector<std::string> names);  // throws std::invalid_argument

}  // namespace detail

/// An actor that passes each of the messages `Ms` on to one of its workers, by Context::forward(): the worker's answer
/// goes straight to whoever asked, and the router takes the next message at once, so that all workers work.
///
///     asker --ask--> Router --forward--> worker 2 --answer--> asker
///
/// Workers are found by their names, again when they were restarted, so the router needs no word from their supervisor.
/// With supervised workers it is a pool: supervision/pool.hpp.
///  - kBroadcast: each worker gets a copy. Who asked learns when all are sent, not when they are handled.
///  - No worker is there: the asker gets kUnavailable (PLX-BEH-0031); a tell is logged and counted as an error that a
///    handler returns. The same with kConsistentHash when that one worker is not there.
///  - Delivery to the worker is that of a tell: a message to one that ends just then is a dead letter, its asker gets
///    kNotFound.
/// Of plain actors. `Worker` handles each of `Ms`.
template <class Worker, Routing kRouting, class... Ms>
class Router : public GenServer<Router<Worker, kRouting, Ms...>, Ms...> {
 public:
  static_assert((Worker::template kHandles<Ms> && ...), "the workers of a router handle each of its messages");
  static_assert(kRouting != Routing::kBroadcast || (std::is_void_v<ReplyOf<Ms>> && ...),
                "a broadcast has no one answer, so its messages have no Reply: ctx.ask_all() asks many actors");
  static_assert(kRouting != Routing::kConsistentHash || (detail::HasRoutingKey<Ms> && ...),
                "a consistent hash needs of each message a routing_key() const, an integer or a text");

  /// `workers`: their names, 1 to kRouterWorkersMax; throws std::invalid_argument else.
  explicit Router(std::vector<std::string> workers)
      : names_(detail::checked_worker_names(std::move(workers))),
        workers_(names_.size()),
        there_(std::make_unique<bool[]>(names_.size())),
        waiting_(kRouting == Routing::kLeastBusy ? names_.size() : 0) {}

  template <class M>
  NoReply handle(const M& message, Context& ctx) {
    if constexpr (kRouting == Routing::kBroadcast) {
      look_at_all(ctx);
      std::size_t sent = 0;
      for (std::size_t i = 0; i < workers_.size(); ++i)
        if (there_[i]) sent += workers_[i].tell(message) ? 1 : 0;
      ctx.complete<M>(sent > 0 ? Status() : Status(std::unexpected(detail::no_worker_error(workers_.size()))));
    } else {
      std::size_t chosen = choose(message, ctx);
      if (chosen < workers_.size()) return ctx.forward(workers_[chosen], message);
      ctx.complete<M>(Result<ReplyOf<M>>(std::unexpected(detail::no_worker_error(workers_.size()))));
    }
    return {};
  }

 private:
  template <class M>
  std::size_t choose(const M& message, Context& ctx) {
    std::size_t count = workers_.size();
    if constexpr (kRouting == Routing::kConsistentHash) {
      std::size_t at = detail::jump_hash(detail::routing_hash(message), count);
      return look_at(at, ctx) ? at : count;
    } else {
      look_at_all(ctx);
      if constexpr (kRouting == Routing::kLeastBusy) {
        for (std::size_t i = 0; i < count; ++i) waiting_[i] = ctx.runtime().mailbox_size(workers_[i].id()).messages;
        return rotation_.least({there_.get(), count}, waiting_);
      } else {
        return rotation_.next({there_.get(), count});
      }
    }
  }

  void look_at_all(Context& ctx) {
    for (std::size_t i = 0; i < workers_.size(); ++i) look_at(i, ctx);
  }
  // Whether the worker is there. Names are looked up only of those that are new.
  bool look_at(std::size_t i, Context& ctx) {
    Runtime& runtime = ctx.runtime();
    there_[i] = runtime.is_alive(workers_[i].id());
    if (there_[i]) return true;
    if (auto found = runtime.find<Worker>(names_[i])) {
      workers_[i] = *found;
      there_[i] = true;
    }
    return there_[i];
  }

  std::vector<std::string> names_;
  std::vector<ActorRef<Worker>> workers_;
  std::unique_ptr<bool[]> there_;
  std::vector<std::uint64_t> waiting_;
  detail::Rotation rotation_;
};

}  // namespace plexspaces
