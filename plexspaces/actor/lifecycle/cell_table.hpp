// All cells of a runtime, by slot.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "plexspaces/actor/lifecycle/actor_cell.hpp"

namespace plexspaces::detail {

/// Cells never move, and their memory is not freed before the runtime ends. Free ones are handed out and taken back by
/// the batch: see FreeCells. Threads: any.
class CellTable {
 public:
  /// For `cells_max` cells in use beside what `holders` keep for themselves: 2 batches each.
  CellTable(std::size_t cells_max, std::size_t holders);
  CellTable(const CellTable&) = delete;
  ~CellTable();

#ifdef PLX_EXPLORE
  static constexpr std::size_t kChunkBits = 8;  // its cells are large, and few are used
#else
  static constexpr std::size_t kChunkBits = 12;
#endif
  static constexpr std::size_t kChunkCells = std::size_t{1} << kChunkBits;  // allocated together
  static constexpr std::size_t kBatchCells = 256;                           // handed over together

  /// @returns the cell, or null for a slot that was never used: references are fields of messages, so any may come.
  ActorCell* find(std::uint32_t slot) const {
    ActorCell* cells = chunks_[slot >> kChunkBits].load(std::memory_order_acquire);
    return cells == nullptr ? nullptr : &cells[slot & (kChunkCells - 1)];
  }

  /// @returns kBatchCells free cells, linked by run_next; null: all are in use.
  ActorCell* take_batch();
  /// Takes kBatchCells free cells back, linked by run_next.
  void give_batch(ActorCell* cells);

  /// Calls `visit` for every cell. Only while nothing else uses the table.
  template <class F>
  void for_each(F visit) {
    for (std::size_t i = 0; i < chunk_count_; ++i)
      for (std::size_t j = 0; j < kChunkCells; ++j) visit(chunks_[i].load(std::memory_order_relaxed)[j]);
  }

 private:
  static constexpr std::size_t kChunksMax = std::size_t{1} << (32 - kChunkBits);  // for every slot there is
  struct Unmap {
    void operator()(void* memory) const;
  };

  void add_chunk();

  const std::size_t batches_max_;
  // An entry for each slot that a reference can name, so that find() needs no bound. Mapped, as the system then gives
  // zeroed pages only when they are touched: of these 8 MB, those of the chunks in use.
  std::unique_ptr<std::atomic<ActorCell*>[], Unmap> chunks_;
  std::size_t chunk_count_ = 0;
  std::size_t batch_count_ = 0;  // that were ever handed out
  std::vector<ActorCell*> free_batches_;
  SharedMutex mutex_;
};

}  // namespace plexspaces::detail
