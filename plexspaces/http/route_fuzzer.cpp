// Any bytes as a target: no crash, and what is read comes back from its own path.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "plexspaces/base/check.hpp"
#include "plexspaces/http/route.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plexspaces;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (std::string_view method : {"GET", "DELETE"}) {
    auto request = http::route_actor(method, bytes);
    if (!request) continue;
    auto again = http::route_actor(method, http::actor_path(request->target, request->message));
    PLX_CHECK(again && again->target == request->target && again->message == request->message,
              "a routed actor is found under its own path");
  }
  return 0;
}
