#include "plexspaces/node/local/local_runtime.hpp"

#include <stdexcept>
#include <utility>

namespace plexspaces {

LocalRuntime::LocalRuntime(LocalRuntimeOptions options)
    : executor_(options.executor), runtime_(executor_, types_, std::move(options.runtime)) {
  if (Status started = runtime_.start(); !started) throw std::invalid_argument(started.error().to_string());
}

void LocalRuntime::stop() {
  runtime_.refuse_everything();
  executor_.stop();
}

LocalRuntime::~LocalRuntime() { stop(); }

}  // namespace plexspaces
