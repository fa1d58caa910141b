// One exchange with a server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::env {

/// Connects to `address` (an IP address) and `port`, sends `request`, and hands what comes back to `take` until it
/// returns true or the peer closes. Blocks: for programs that have nothing else to do.
/// @error kInvalidArgument: not an address. kUnavailable: nobody listens there, so nothing was sent. kUnknown: sent,
/// but the connection broke or was silent for `silence_max` before the answer was complete.
Status tcp_exchange(const std::string& address, std::uint16_t port, std::string_view request, Duration silence_max,
                    const std::function<bool(std::string_view)>& take);

}  // namespace plexspaces::env
