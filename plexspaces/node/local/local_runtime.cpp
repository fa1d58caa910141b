#include "plexspaces/node/local/local_runtime.hpp"

#include "plexspaces/base/check.hpp"

namespace plexspaces {

LocalRuntime::LocalRuntime(LocalRuntimeOptions options)
    : executor_(options.executor), runtime_(executor_, types_, std::move(options.runtime)) {
  Status started = runtime_.start();
  PLX_CHECK(started.has_value(), "a runtime without registered types starts");
}

LocalRuntime::~LocalRuntime() { stop(); }

}  // namespace plexspaces
