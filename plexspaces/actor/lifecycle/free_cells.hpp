// Free cells of one who starts and ends actors.
#pragma once

#include <cstddef>
#include <utility>

#include "plexspaces/actor/lifecycle/actor_cell.hpp"
#include "plexspaces/actor/lifecycle/cell_table.hpp"

namespace plexspaces::detail {

/// A stock of free cells that is filled from the table and emptied into it by whole batches, so that the table's lock
/// is taken once for many actors, and cells come back wherever their actors end.
///
///     take() <--- loose (up to a batch) <---> spare (a batch, or none) <---> CellTable
///     give() --->
///
/// Holds at most kHeldMax cells. Threads: one at a time.
class FreeCells {
 public:
  explicit FreeCells(CellTable& table) : table_(table) {}
  FreeCells(const FreeCells&) = delete;

  static constexpr std::size_t kHeldMax = 2 * CellTable::kBatchCells;

  /// @returns a free cell; null: the table is exhausted.
  ActorCell* take() {
    if (loose_ == nullptr) [[unlikely]] {
      loose_ = spare_ != nullptr ? std::exchange(spare_, nullptr) : table_.take_batch();
      if (loose_ == nullptr) return nullptr;
      loose_count_ = CellTable::kBatchCells;
    }
    --loose_count_;
    return std::exchange(loose_, loose_->run_next);
  }

  void give(ActorCell& cell) {
    if (loose_count_ == CellTable::kBatchCells) [[unlikely]] {
      if (spare_ != nullptr) table_.give_batch(spare_);
      spare_ = std::exchange(loose_, nullptr);
      loose_count_ = 0;
    }
    cell.run_next = std::exchange(loose_, &cell);
    ++loose_count_;
  }

 private:
  CellTable& table_;
  ActorCell* loose_ = nullptr;
  std::size_t loose_count_ = 0;
  ActorCell* spare_ = nullptr;
};

}  // namespace plexspaces::detail
