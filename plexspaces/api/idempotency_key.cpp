#include "plexspaces/api/idempotency_key.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "plexspaces/base/limits.hpp"

namespace plexspaces::api {

Status check_idempotency_key(std::string_view key) {
  if (key.empty())
    return fail(Code::kInvalidArgument,
                "the Idempotency-Key is empty and would protect against nothing: give it a value or leave it out",
                "PLX-HTT-0012");
  if (key.size() > kIdempotencyKeyBytesMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the Idempotency-Key has {} bytes; the limit is {}", key.size(), kIdempotencyKeyBytesMax),
                "PLX-HTT-0012");
  if (!std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7f; }))
    return fail(Code::kInvalidArgument, "the Idempotency-Key holds a byte that is not printable ASCII", "PLX-HTT-0012");
  return {};
}

}  // namespace plexspaces::api
