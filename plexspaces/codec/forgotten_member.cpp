// Must not compile: a test reads what the compiler says.
#include <optional>
#include <string>
#include <vector>

#include "plexspaces/codec/description.hpp"

namespace {

struct Order {
  std::string sku;
  std::vector<std::string> notes;
  std::optional<std::int64_t> price;
  std::int64_t quantity = 0;
};
PLX_MESSAGE(Order, (1, sku), (2, notes), (4, quantity));

}  // namespace
