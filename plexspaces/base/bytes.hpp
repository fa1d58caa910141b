// Opaque octets, told apart from text.
#pragma once

#include <compare>
#include <string>

namespace plexspaces {

/// A field of octets in a message: base64 in JSON, `bytes` in protobuf. Text is std::string.
/// Inside the library an encoded record is a std::string too; Bytes is the type that users see.
struct Bytes {
  std::string data;

  friend auto operator<=>(const Bytes&, const Bytes&) = default;
};

}  // namespace plexspaces
