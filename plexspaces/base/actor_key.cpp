#include "plexspaces/base/actor_key.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "plexspaces/base/hash.hpp"
#include "plexspaces/base/limits.hpp"

namespace plexspaces {

namespace {

constexpr std::string_view kSeparator("\0", 1);

Status check_part(std::string_view what, std::string_view part) {
  if (part.empty()) return fail(Code::kInvalidArgument, fmt::format("the {} is empty: name one", what), "PLX-KEY-0001");
  if (part.size() > kNameBytesMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the {} has {} bytes; the limit is {}", what, part.size(), kNameBytesMax), "PLX-KEY-0002");
  if (part.find('\0') != std::string_view::npos)
    return fail(Code::kInvalidArgument, fmt::format("the {} holds a NUL byte, which no name may", what),
                "PLX-KEY-0003");
  return {};
}

}  // namespace

Result<ActorKey> ActorKey::make(std::string tenant, std::string name_space, std::string type, std::string key) {
  ActorKey made{std::move(tenant), std::move(name_space), std::move(type), std::move(key)};
  PLX_TRY_STATUS(made.check());
  return made;
}

Status ActorKey::check() const {
  PLX_TRY_STATUS(check_part("tenant", tenant));
  PLX_TRY_STATUS(check_part("namespace", name_space));
  PLX_TRY_STATUS(check_part("type", type));
  return check_part("key", key);
}

std::string ActorKey::to_string() const { return fmt::format("{}/{}/{}/{}", tenant, name_space, type, key); }

std::string ActorKey::to_row() const {
  std::string row;
  row.reserve(tenant.size() + name_space.size() + type.size() + key.size() + 3);
  append_row(row);
  return row;
}

void ActorKey::append_row(std::string& out) const {
  out.append(tenant).append(kSeparator).append(name_space).append(kSeparator);
  out.append(type).append(kSeparator).append(key);
}

Result<ActorKey> ActorKey::from_row(std::string_view row) {
  std::array<std::string, 4> parts;
  for (std::size_t i = 0; i < 4; ++i) {
    std::size_t end = i == 3 ? row.size() : row.find('\0');
    if (end == std::string_view::npos)
      return fail(Code::kDataLoss, "a stored actor key has fewer than four parts: restore the data from a backup",
                  "PLX-KEY-0004");
    parts[i] = row.substr(0, end);
    row.remove_prefix(i == 3 ? end : end + 1);
  }
  auto key = make(std::move(parts[0]), std::move(parts[1]), std::move(parts[2]), std::move(parts[3]));
  if (!key) return fail(Code::kDataLoss, "a stored actor key is damaged: " + key.error().message(), "PLX-KEY-0004");
  return key;
}

std::uint64_t ActorKey::hash() const {
  std::uint64_t hash = stable_hash(tenant);
  hash = stable_hash(kSeparator, hash);
  hash = stable_hash(name_space, hash);
  hash = stable_hash(kSeparator, hash);
  hash = stable_hash(type, hash);
  hash = stable_hash(kSeparator, hash);
  return mix_hash(stable_hash(key, hash));
}

std::uint16_t ActorKey::shard() const { return static_cast<std::uint16_t>(hash() % kShardCount); }

}  // namespace plexspaces
