// A pool: a router with supervised workers.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/behavior/router.hpp"
#include "plexspaces/supervision/supervisor_spec.hpp"

namespace plexspaces {

struct PoolOptions {
  std::size_t workers = 4;      // 1 to kRouterWorkersMax
  RestartLimit limit = {};      // of the workers together; beyond it all of them are started anew
  ChildOptions worker = {};     // of each worker; `name` is the pool's
  MailboxOptions mailbox = {};  // of the router
};

/// A supervision tree of a Router and its workers, each made as `Worker(args...)`:
///
///     auto tree = supervisor("shop", one_for_one)
///                     .child(pool<Resizer, Routing::kLeastBusy, Resize>("resizers", {.workers = 8}, quality));
///     auto resizers = runtime.find<Router<Resizer, Routing::kLeastBusy, Resize>>("resizers").value();
///     resizers.ask(Resize{...}, 1s);
///
///     name  rest_for_one
///     |- router               named `name`: what others send to
///     `- workers              one_for_one: a worker that fails is restarted alone
///        |- 1                 named `name`/1
///        `- ...
///
/// Its supervisor's name is that of the pool, which is unique in the runtime, as the name of its router.
template <class Worker, Routing kRouting, class... Ms, class... Args>
SupervisorSpec pool(const std::string& name, PoolOptions options, Args&&... args) {
  std::vector<std::string> names;  // one too many is enough for the router to refuse
  for (std::size_t i = 1; i <= options.workers && i <= kRouterWorkersMax + 1; ++i)
    names.push_back(name + "/" + std::to_string(i));
  SupervisorSpec workers = supervisor("workers", one_for_one, options.limit);
  for (std::size_t i = 0; i < names.size(); ++i) {
    ChildOptions child_options = options.worker;
    child_options.name = names[i];
    workers.add(child<Worker>(std::to_string(i + 1), permanent, std::move(child_options), args...));
  }
  ChildOptions router;
  router.name = name;
  router.mailbox = options.mailbox;
  SupervisorSpec spec = supervisor(name, rest_for_one, options.limit);
  spec.add(child<Router<Worker, kRouting, Ms...>>("router", permanent, std::move(router), std::move(names)));
  spec.add(child(std::move(workers)));
  return spec;
}

}  // namespace plexspaces
