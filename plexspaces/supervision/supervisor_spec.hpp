// What a supervision tree is made of: child specifications and the builder of supervisors.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/base/check.hpp"
#include "plexspaces/base/error.hpp"
#include "plexspaces/supervision/child_spec.hpp"

namespace plexspaces {

class SupervisorSpec;
struct ChildSpec;

namespace detail {

/// A child that was started by a supervisor whose own start failed then: whoever can wait stops it.
struct Leftover {
  ActorId actor;
  Shutdown shutdown;
};
using Leftovers = std::vector<Leftover>;  // in the order in which they are to be stopped

/// What starts a child: linked to the actor whose turn it is. `argument` is of the spec's type.
using StartFunction =
    std::move_only_function<Result<ActorId>(Context&, const ChildOptions& options, const void* argument) const>;

template <class A, class... Args>
Result<ActorId> start_child(Context& ctx, const ChildOptions& options, Args&&... args) {
  PLX_TRY(ref,
          ctx.spawn_linked_with<A>({.name = options.name, .mailbox = options.mailbox}, std::forward<Args>(args)...));
  return ref.id();
}

/// The name of a class, without its namespaces.
template <class T>
constexpr std::string_view class_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  std::size_t from = text.find("T = ") + 4;
  text = text.substr(from, text.find_first_of(";]", from) - from);
  std::size_t scope = text.rfind("::", text.find('<'));
  return scope == std::string_view::npos ? text : text.substr(scope + 2);
}

}  // namespace detail

/// One child: who it is and how it is started, restarted and stopped. Made by child().
struct ChildSpec {
  std::string id;  // unique among its siblings; 1 to kChildIdBytesMax bytes
  RestartType restart = permanent;
  ChildOptions options;
  std::string class_name{};
  std::shared_ptr<const SupervisorSpec> supervisor{};  // of a child that is a supervisor; else null
  detail::StartFunction start{};                       // of one that is not
  const ValueType* argument = nullptr;  // of a template: what StartChild::with() must give; null: nothing

  bool is_supervisor() const { return supervisor != nullptr; }
  Shutdown shutdown() const { return options.shutdown.value_or(is_supervisor() ? infinity : kWorkerShutdown); }
};

/// A child of class `A`. Each start makes `A(args...)` from copies that are kept here, so `A` takes them by value or by
/// reference to const.
template <class A, class... Args>
ChildSpec child(std::string id, RestartType restart = permanent, ChildOptions options = {}, Args&&... args) {
  ChildSpec spec{.id = std::move(id), .restart = restart, .options = std::move(options)};
  spec.class_name = detail::class_name<A>();
  spec.start = [kept = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)](
                   Context& ctx, const ChildOptions& given, const void*) {
    return std::apply([&](const auto&... arg) { return detail::start_child<A>(ctx, given, arg...); }, kept);
  };
  return spec;
}

/// A child that is a supervisor; its id is the supervisor's name.
ChildSpec child(SupervisorSpec supervisor, RestartType restart = permanent, ChildOptions options = {});
/// As above: a node that several trees share. It must not change any more.
ChildSpec child(std::shared_ptr<const SupervisorSpec> supervisor, RestartType restart = permanent,
                ChildOptions options = {});

/// A supervision tree, to be: a supervisor with its children, left to right.
///
///     auto tree = supervisor("shop", one_for_one, {.intensity = 5, .period = 10s})
///                     .child<Stock>("stock", permanent)
///                     .child<Payments>("payments", permanent, {.shutdown = 5s})
///                     .child(supervisor("shipping", rest_for_one).child<Labels>("labels"));
///
/// A value: nothing runs until it is started, and it may be started many times. Mistakes are found by check(), which
/// every start calls. Threads: one at a time.
class SupervisorSpec {
 public:
  SupervisorSpec(std::string name, Strategy strategy, RestartLimit limit = {})
      : name_(std::move(name)), strategy_(strategy), limit_(limit) {}

  template <class A, class Self, class... Args>
  Self&& child(this Self&& self, std::string id, RestartType restart = permanent, ChildOptions options = {},
               Args&&... args) {
    self.add(plexspaces::child<A>(std::move(id), restart, std::move(options), std::forward<Args>(args)...));
    return std::forward<Self>(self);
  }
  template <class Self>
  Self&& child(this Self&& self, SupervisorSpec supervisor, RestartType restart = permanent,
               ChildOptions options = {}) {
    self.add(plexspaces::child(std::move(supervisor), restart, std::move(options)));
    return std::forward<Self>(self);
  }
  template <class Self>
  Self&& child(this Self&& self, std::shared_ptr<const SupervisorSpec> supervisor, RestartType restart = permanent,
               ChildOptions options = {}) {
    self.add(plexspaces::child(std::move(supervisor), restart, std::move(options)));
    return std::forward<Self>(self);
  }

  /// Of simple_one_for_one: what its children are made from. None is started with the supervisor; StartChild{} makes
  /// `A()`, and, with a described struct `Argument`, StartChild::with(Argument{...}) makes `A(const Argument&)`, anew
  /// from the same argument when it is restarted.
  template <class A, class Argument = void, class Self>
  Self&& template_child(this Self&& self, std::string id, RestartType restart = permanent, ChildOptions options = {}) {
    ChildSpec spec{.id = std::move(id), .restart = restart, .options = std::move(options)};
    spec.class_name = detail::class_name<A>();
    spec.start = [](Context& ctx, const ChildOptions& given, const void* argument) {
      if constexpr (std::is_void_v<Argument>)
        return detail::start_child<A>(ctx, given);
      else
        return detail::start_child<A>(ctx, given, *static_cast<const Argument*>(argument));
    };
    if constexpr (!std::is_void_v<Argument>) spec.argument = &value_type_of<Argument>();
    self.templates_ += 1;
    self.add(std::move(spec));
    return std::forward<Self>(self);
  }

  /// When the end of significant children ends this supervisor, with the reason shutdown.
  template <class Self>
  Self&& auto_shutdown(this Self&& self, AutoShutdown when) {
    self.auto_shutdown_ = when;
    return std::forward<Self>(self);
  }

  void add(ChildSpec child) { children_.push_back(std::make_shared<const ChildSpec>(std::move(child))); }

  const std::string& name() const { return name_; }
  Strategy strategy() const { return strategy_; }
  const RestartLimit& limit() const { return limit_; }
  AutoShutdown auto_shutdown() const { return auto_shutdown_; }
  /// Left to right; of simple_one_for_one the template alone.
  std::span<const std::shared_ptr<const ChildSpec>> children() const { return children_; }

  /// Looks at the whole tree. @error kInvalidArgument, naming the culprit by its path ("shop/shipping/labels"): a name
  /// or id that is empty, too long or there twice, a number beyond its limit, a supervisor that contains itself, a
  /// significant child that is permanent or whose supervisor never shuts down by itself, templates and strategies that
  /// do not go together, more than kChildrenMax children or kTreeDepthMax levels.
  Status check() const;
  /// The part of check() about templates, with `path` as this supervisor's.
  Status check_templates(const std::string& path) const;

 private:
  std::string name_;
  Strategy strategy_;
  RestartLimit limit_;
  AutoShutdown auto_shutdown_ = AutoShutdown::never;
  std::vector<std::shared_ptr<const ChildSpec>> children_;
  std::size_t templates_ = 0;
};

/// Begins a supervision tree: see SupervisorSpec.
inline SupervisorSpec supervisor(std::string name, Strategy strategy, RestartLimit limit = {}) {
  return {std::move(name), strategy, limit};
}

namespace detail {

/// Looks at one child of a supervisor with that path, and at what is below it. @error as SupervisorSpec::check().
Status check_child(const ChildSpec& child, const SupervisorSpec& parent, const std::string& path);

}  // namespace detail

}  // namespace plexspaces
