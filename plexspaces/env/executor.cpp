#include "plexspaces/env/executor.hpp"

#include <fmt/format.h>

namespace plexspaces::env {

Error blocking_full_error(std::size_t queue_max) {
  return Error(Code::kResourceExhausted,
               fmt::format("{} blocking calls wait for a thread: make fewer at once, or raise blocking_threads or "
                           "blocking_queue_max",
                           queue_max),
               "PLX-ENV-0121", Error::Retry::kBackoff);
}

Error blocking_stopped_error() {
  return Error(Code::kUnavailable, "the executor has stopped: no blocking work begins any more", "PLX-ENV-0122");
}

}  // namespace plexspaces::env
