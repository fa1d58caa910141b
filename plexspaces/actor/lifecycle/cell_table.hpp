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

/// Chunks of cells that never move and are never freed before the runtime. Threads: any.
class CellTable {
 public:
  explicit CellTable(std::size_t cells_max);
  CellTable(const CellTable&) = delete;
  ~CellTable();

  static constexpr std::size_t kChunkBits = 12;
  static constexpr std::size_t kChunkCells = std::size_t{1} << kChunkBits;

  /// @returns the cell, or null for a slot that was never used: references are fields of messages, so any may come.
  ActorCell* find(std::uint32_t slot) const {
    ActorCell* cells = chunks_[slot >> kChunkBits].load(std::memory_order_acquire);
    return cells == nullptr ? nullptr : &cells[slot & (kChunkCells - 1)];
  }

  /// @returns kChunkCells free cells, linked by run_next; null when cells_max is reached.
  ActorCell* take_chunk();
  /// Takes kChunkCells free cells back, linked by run_next.
  void give_chunk(ActorCell* cells);

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

  const std::size_t chunks_max_;
  // An entry for each slot that a reference can name, so that find() needs no bound. Mapped, as the system then gives
  // zeroed pages only when they are touched: of these 8 MB, those of the chunks in use.
  std::unique_ptr<std::atomic<ActorCell*>[], Unmap> chunks_;
  std::size_t chunk_count_ = 0;
  std::vector<ActorCell*> free_chunks_;
  std::mutex mutex_;
};

}  // namespace plexspaces::detail
