// The actor types that a node knows by name.
#pragma once

#include <any>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/actor/actor.hpp"
#include "plexspaces/actor/lifecycle/class_names.hpp"
#include "plexspaces/actor/stateful.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces {

/// A facet that a type asks for, by name, with its options. Made by functions such as durable().
struct FacetSpec {
  std::string name;
  std::any options;
};

struct TypeOptions {
  std::vector<FacetSpec> facets;
};

/// A registered actor type.
struct ActorType {
  std::string name;
  std::vector<FacetSpec> facets;
  std::span<const Handler> handlers;
  const void* tag = nullptr;                 // the C++ class
  std::uint16_t class_number = 0;            // its number: detail::class_name()
  std::size_t size = 0;                      // of the C++ class, in bytes
  Actor* (*create)(void* memory) = nullptr;  // null: has no default constructor, so cannot be activated by key
  bool hooks = false;                        // has on_start() or on_stop()
  const ValueType* state_type = nullptr;     // null: not Stateful
  StateView (*state)(Actor&) = nullptr;
  /// Actors of this type are addressed by key and activated on demand: it has a facet.
  bool keyed() const { return !facets.empty(); }
  /// @returns the handler of `message`, or null.
  const Handler* find(const MessageInfo& message) const;
  /// @returns the handler of the message registered as `message`, or null.
  const Handler* find(std::string_view message) const;
};

namespace detail {
template <class A>
inline constexpr char kTypeTag = 0;
}

/// The registry: filled before the runtime starts, constant afterwards. Nothing registers itself.
class Types {
 public:
  /// Registers the actor class `A` as `name`. A mistake (a name or class registered twice, a facet twice, a facet on a
  /// class without default constructor) is kept and returned by check().
  template <class A>
  void add(std::string name, TypeOptions options = {}) {
    ActorType type;
    type.name = std::move(name);
    type.facets = std::move(options.facets);
    type.handlers = A::interface();
    type.tag = &detail::kTypeTag<A>;
    type.class_number = detail::class_number<A>();
    type.size = sizeof(A);
    type.hooks = detail::has_on_start<A>() || detail::has_on_stop<A>();
    if constexpr (std::is_default_constructible_v<A>)
      type.create = [](void* memory) -> Actor* { return ::new (memory) A; };
    if constexpr (requires(A& actor) { state_of(actor); }) {
      type.state_type = &value_type_of<typename A::State>();
      type.state = [](Actor& actor) { return state_of(static_cast<A&>(actor)); };
    }
    insert(std::move(type));
  }

  /// The first mistake made while registering.
  Status check() const { return check_; }

  /// @returns the type, or null.
  const ActorType* find(std::string_view name) const;
  /// @returns the type of the class `A`, or null.
  template <class A>
  const ActorType* find() const {
    return find_tag(&detail::kTypeTag<A>);
  }
  /// In order of name.
  std::vector<std::string> names() const;

 private:
  void insert(ActorType type);
  const ActorType* find_tag(const void* tag) const;

  std::map<std::string, std::unique_ptr<ActorType>, std::less<>> types_;
  std::map<const void*, const ActorType*> by_tag_;
  Status check_;
};

}  // namespace plexspaces
