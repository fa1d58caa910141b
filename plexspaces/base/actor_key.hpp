// The durable name of an actor.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"

namespace plexspaces {

/// (tenant, namespace, type, key): what names an actor for ever, in every stored row and every message between nodes.
///
///     text   default/shop/airport/SFO
///     row    "default\0shop\0airport\0SFO"     sorts as the tuple does; a prefix of fields is a prefix of bytes
///
/// A value: copyable, ordered, hashable. Each part has 1 to kNameBytesMax bytes and no NUL (make() checks).
struct ActorKey {
  std::string tenant;
  std::string name_space;  // `namespace` everywhere outside C++
  std::string type;
  std::string key;

  /// @error kInvalidArgument: a part is empty, longer than kNameBytesMax, or holds a NUL; the message names the part.
  static Result<ActorKey> make(std::string tenant, std::string name_space, std::string type, std::string key);

  /// What make() checks, for a key that was put together by hand.
  Status check() const;

  /// "tenant/namespace/type/key", for people: a '/' inside a part is not escaped.
  std::string to_string() const;

  /// The parts with a NUL between them: the bytes under which rows of this actor are stored.
  std::string to_row() const;
  /// Appends to_row() to `out`.
  void append_row(std::string& out) const;
  /// @error kDataLoss: `row` is not what to_row() returns.
  static Result<ActorKey> from_row(std::string_view row);

  /// 0 to kShardCount - 1, the same in every version.
  std::uint16_t shard() const;
  std::uint64_t hash() const;

  friend auto operator<=>(const ActorKey&, const ActorKey&) = default;
};

}  // namespace plexspaces

template <>
struct std::hash<plexspaces::ActorKey> {
  std::size_t operator()(const plexspaces::ActorKey& key) const noexcept { return key.hash(); }
};
