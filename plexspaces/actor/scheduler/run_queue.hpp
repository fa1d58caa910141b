// The actors of one worker that can run.
#pragma once

#include <cstddef>
#include <utility>

#include "plexspaces/actor/lifecycle/actor_cell.hpp"

namespace plexspaces::detail {

/// A queue of cells, the one that has waited longest in front, linked by run_next. A cell is in at most one, and its
/// flag kScheduled says so to its worker, which keeps that flag. Threads: the worker's.
class RunQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  std::size_t size() const { return size_; }

  void push(ActorCell& cell) {
    cell.run_next = nullptr;
    if (head_ != nullptr)
      tail_->run_next = &cell;
    else
      head_ = &cell;
    tail_ = &cell;
    ++size_;
  }

  /// @returns the first; null: the queue is empty.
  ActorCell* pop() {
    ActorCell* cell = head_;
    if (cell == nullptr) return nullptr;
    head_ = cell->run_next;
    --size_;
    return cell;
  }

  /// Takes out the cell behind `before` others, of more than that. Looks at all before it.
  ActorCell& take(std::size_t before) {
    ActorCell* previous = nullptr;
    ActorCell* cell = head_;
    for (; before > 0; --before) previous = std::exchange(cell, cell->run_next);
    unlink(previous, *cell);
    return *cell;
  }

  /// Takes the cell out, wherever it is; does nothing when it is not there. Looks at all before it.
  void remove(ActorCell& cell) {
    ActorCell* previous = nullptr;
    for (ActorCell* at = head_; at != nullptr; previous = std::exchange(at, at->run_next))
      if (at == &cell) return unlink(previous, cell);
  }

 private:
  void unlink(ActorCell* previous, ActorCell& cell) {
    (previous != nullptr ? previous->run_next : head_) = cell.run_next;
    if (tail_ == &cell) tail_ = previous;
    --size_;
  }

  ActorCell* head_ = nullptr;
  ActorCell* tail_ = nullptr;  // of an empty queue: anything
  std::size_t size_ = 0;
};

}  // namespace plexspaces::detail
