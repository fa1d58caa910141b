// The handlers of an event manager, without its types.
#pragma once

#include <any>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/actor/context.hpp"
#include "plexspaces/codec/description.hpp"

namespace plexspaces {

inline constexpr std::size_t kHandlerIdBytesMax = 256;

/// A handler is no longer in its event manager: what the actor is told that has added it by GenEvent::add_linked().
struct HandlerRemoved {
  std::string id;
  ExitReason reason;      // error: it threw, the text says what; else normal, or why the manager has ended
  std::string successor;  // of a swap: the id of the handler in its place; else empty
};
PLX_MESSAGE(HandlerRemoved, (1, id), (2, reason), (3, successor));

/// Asks an event manager for the ids of its handlers, in the order in which they are called.
struct HandlerIds {
  std::vector<std::string> ids;
};
PLX_MESSAGE(HandlerIds, (1, ids));
struct ListHandlers {
  using Reply = HandlerIds;
};
PLX_MESSAGE(ListHandlers);

/// Asks an event manager to remove a handler: its on_remove() runs. @error kNotFound (PLX-BEH-0011).
struct RemoveHandler {
  std::string id;
};
PLX_MESSAGE(RemoveHandler, (1, id));

namespace detail {

/// What an event handler is to its manager.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  virtual Status added(Context& context) = 0;
  virtual void removed(const ExitReason& reason, Context& context) = 0;
  /// What its successor in a swap gets.
  virtual std::any handed_over(Context& context) = 0;
};

/// What the manager calls for one message of its list: with the message, and room for the answer. Null where the
/// handler does not handle it. @returns whether the handler stays.
using EventCall = bool (*)(EventHandler& handler, const void* message, void* answer, Context& context);

struct NewEventHandler {
  std::unique_ptr<EventHandler> handler;
  const EventCall* calls = nullptr;  // for each message of the manager
};

/// The actor that is told when the handler goes; when it ends, the handler goes.
struct EventHandlerOwner {
  ActorId id;
  std::function<TellStatus(HandlerRemoved removed)> tell;  // empty: nobody
  std::function<Result<MonitorRef>(Context& context)> monitor;
};

// The orders that GenEvent makes. They hold functions, so they stay in the process.

struct AddHandler {
  static constexpr bool kStaysInProcess = true;
  std::string id;
  std::move_only_function<NewEventHandler()> make;
  EventHandlerOwner owner;
};
PLX_MESSAGE(AddHandler, (1, id));

struct SwapHandler {
  static constexpr bool kStaysInProcess = true;
  std::string old_id;
  std::string id;
  const void* old_class = nullptr;
  std::move_only_function<NewEventHandler(std::any handed_over)> make;
};
PLX_MESSAGE(SwapHandler, (1, old_id), (2, id));

/// The handlers of one manager. Whatever a handler throws removes it, and nothing else.
class EventHandlers {
 public:
  explicit EventHandlers(std::size_t handlers_max) : handlers_max_(handlers_max) {}

  Status add(AddHandler& order, Context& context);
  Status remove(const std::string& id, Context& context);
  Status swap(SwapHandler& order, Context& context);
  /// Calls all that handle the message `index` of the manager.
  void notify(std::size_t index, const void* event, std::string_view name, Context& context);
  /// Calls one. @error kNotFound: no such handler. kUnimplemented: it does not handle this. kInternal: it threw.
  Status call(const std::string& id, std::size_t index, const void* message, std::string_view name, void* answer,
              Context& context);
  void owner_ended(const Down& down, Context& context);
  /// The manager ends.
  void end(const ExitReason& reason, Context& context);
  HandlerIds ids() const;

 private:
  struct Entry {
    std::string id;
    NewEventHandler made;
    EventHandlerOwner owner;
    MonitorRef monitor;
  };

  std::size_t find(const std::string& id) const;  // size() when there is none
  Status check_new(const std::string& id) const;
  void take_out(std::size_t at, const ExitReason& reason, bool tell_handler, std::string successor, Context& context);
  void crashed(std::size_t at, std::string_view during, const std::string& what, Context& context);

  std::size_t handlers_max_;
  std::vector<Entry> entries_;
};

}  // namespace detail
}  // namespace plexspaces
