#include "plexspaces/actor/lifecycle/class_names.hpp"

#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include <cxxabi.h>

namespace plexspaces::detail {

namespace {

constexpr std::size_t kClassesMax = std::numeric_limits<std::uint16_t>::max() - 1;

// Of the process, as the classes themselves are. What the number kClassesMax + 1 stands for has no name.
std::mutex mutex;
constinit std::vector<const std::type_info*> classes;

}  // namespace

std::uint16_t number_class(const std::type_info& type) {
  std::lock_guard lock(mutex);
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (*classes[i] == type) return static_cast<std::uint16_t>(i + 1);
  if (classes.size() < kClassesMax) classes.push_back(&type);
  return static_cast<std::uint16_t>(classes.size() + (classes.size() == kClassesMax ? 1 : 0));
}

std::string class_name(std::uint16_t number) {
  const std::type_info* type = nullptr;
  {
    std::lock_guard lock(mutex);
    if (number >= 1 && number <= classes.size()) type = classes[number - 1];
  }
  if (type == nullptr) return "an actor";
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type->name();
}

}  // namespace plexspaces::detail
