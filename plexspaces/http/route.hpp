// From a path to an actor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "plexspaces/api/operations.hpp"
#include "plexspaces/base/actor_key.hpp"
#include "plexspaces/base/error.hpp"

namespace plexspaces::http {

inline constexpr std::string_view kActorsPath = "/api/v1/actors/";

/// The target of a request, taken apart: "/a/b?key=c" or "http://host/a/b?key=c".
struct Target {
  std::string_view path;                      // from the first '/', not decoded
  std::string_view query;                     // after the '?', not decoded
  std::optional<std::string_view> authority;  // "host", where there is one
};
Target split_target(std::string_view target);

/// Reads the method and the target of a request under kActorsPath:
///
///     /api/v1/actors/<namespace>/<type>?key=<key>                        tenant `default`
///     /api/v1/actors/<tenant>/<namespace>/<type>?key=<key>
///     /api/v1/actors/<tenant>/<namespace>/<type>/<key>
///     /api/v1/actors/<tenant>/<namespace>/<type>/<key>/<message>
///
/// GET reads, POST and PUT update, DELETE deletes. Segments and the key are percent-encoded UTF-8 ('/' in a name is
/// %2F).
/// @returns verb, target and message; the other fields as they are by default.
/// @error kInvalidArgument: a wrong number of segments, an empty or overlong one, a bad escape, a query parameter other
/// than `key`, a message with DELETE; the error names the part. PLX-HTT-0002: another method.
/// Pure: any bytes may come in.
Result<api::InvokeRequest> route_actor(std::string_view method, std::string_view target);

/// @returns the path that route_actor() reads as `key` and `message` (empty: none), every byte that needs it escaped.
std::string actor_path(const ActorKey& key, std::string_view message = {});

/// Undoes percent-encoding. @error kInvalidArgument naming `what`: a '%' without two hexadecimal digits, or not UTF-8.
Result<std::string> percent_decode(std::string_view what, std::string_view text);
std::string percent_encode(std::string_view text);

}  // namespace plexspaces::http
