// The checksum of everything stored.
#pragma once

#include <cstdint>
#include <string_view>

namespace plexspaces::store {

/// CRC-32C (Castagnoli), as iSCSI and the x86 instruction have it. Chain calls by passing the former value as `seed`.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

namespace detail {
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t seed);
}

}  // namespace plexspaces::store
