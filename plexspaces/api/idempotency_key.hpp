// What a client may use as the key that makes a request safe to send again.
#pragma once

#include <string_view>

#include "plexspaces/base/error.hpp"

namespace plexspaces::api {

/// @error kInvalidArgument, PLX-HTT-0012: it is empty, as an unset variable of a shell is, and would not protect
/// against anything; it has more than kIdempotencyKeyBytesMax bytes; it holds a byte that is not printable ASCII.
Status check_idempotency_key(std::string_view key);

}  // namespace plexspaces::api
