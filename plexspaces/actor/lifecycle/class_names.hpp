// The classes of actors, by number.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <typeinfo>

namespace plexspaces::detail {

/// A number for the class, the same one as long as the process lives. The 65,535th and later ones share a number.
/// Threads: any.
std::uint16_t number_class(const std::type_info& type);
/// "Counter", with its namespace. "an actor" when the number is none. Threads: any.
std::string class_name(std::uint16_t number);

template <class A>
inline std::atomic<std::uint16_t> kClassNumber{0};

/// number_class(), remembered. A class has a cell for its number here, because an actor has no room for a pointer.
template <class A>
std::uint16_t class_number() {
  std::uint16_t number = kClassNumber<A>.load(std::memory_order_relaxed);
  if (number == 0) [[unlikely]]
    kClassNumber<A>.store(number = number_class(typeid(A)), std::memory_order_relaxed);
  return number;
}

}  // namespace plexspaces::detail
