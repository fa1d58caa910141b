#include "plexspaces/behavior/router.hpp"

#include <fmt/format.h>

namespace plexspaces::detail {

Error no_worker_error(std::size_t workers) {
  return Error(Code::kUnavailable,
               fmt::format("no worker of the router is there to take this message, of {}: they are being restarted, or "
                           "none has the name that the router was given",
                           workers),
               "PLX-BEH-0031", Error::Retry::kBackoff);
}

std::vector<std::string> checked_worker_names(std::vector<std::string> names) {
  if (names.empty() || names.size() > kRouterWorkersMax)
    throw std::invalid_argument(fmt::format("a router has 1 to {} workers, not {}", kRouterWorkersMax, names.size()));
  return names;
}

}  // namespace plexspaces::detail
