// libFuzzer: any bytes are an error or a value, and a value that was read can be written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces {
namespace {

enum class Shade { kLight, kDark };
PLX_ENUM(Shade, (1, kLight), (2, kDark));

struct Node {
  std::int32_t number;
  std::int64_t wide = 7;
  bool flag = false;
  double real = 0;
  float small_real = 0;
  Shade shade = Shade::kDark;
  std::string text = "text";
  Bytes octets;
  std::optional<std::uint32_t> maybe;
  std::vector<std::int64_t> numbers;
  std::vector<bool> flags;
  std::vector<Shade> shades;
  std::vector<std::string> texts;
  std::vector<Node> children;
};
PLX_MESSAGE(Node, (1, number), (2, wide), (3, flag), (4, real), (5, small_real), (6, shade), (7, text), (8, octets),
            (9, maybe), (10, numbers), (11, flags), (12, shades), (13, texts), (14, children));

struct Root {
  Node node{
      .number = 1, .octets = {}, .maybe = {}, .numbers = {}, .flags = {}, .shades = {}, .texts = {}, .children = {}};
  std::optional<Node> maybe_node;
};
PLX_MESSAGE(Root, (1, node), (2, maybe_node));

template <class T>
void check(std::string_view bytes) {
  const ValueType& type = value_type_of<T>();
  T value{};
  std::string unknown;
  if (!decode(type, bytes, &value, &unknown)) return;
  std::string once;
  if (!encode(type, &value, once, unknown)) std::abort();
  T again{};
  std::string unknown_again;
  if (!decode(type, once, &again, &unknown_again)) std::abort();
  std::string twice;
  if (!encode(type, &again, twice, unknown_again) || once != twice) std::abort();
  (void)to_json(type, &value);
}

}  // namespace
}  // namespace plexspaces

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      plexspaces::check<plexspaces::Root>(bytes);
      break;
    case 1:
      plexspaces::check<plexspaces::Node>(bytes);
      break;
    default:
      plexspaces::check<std::vector<plexspaces::Node>>(bytes);
      break;
  }
  return 0;
}
