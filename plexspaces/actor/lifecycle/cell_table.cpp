#include "plexspaces/actor/lifecycle/cell_table.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>

#include <sys/mman.h>

namespace plexspaces::detail {

namespace {

std::atomic<ActorCell*>* map_entries(std::size_t entries) {
  void* memory = ::mmap(nullptr, entries * sizeof(std::atomic<ActorCell*>), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::atomic<ActorCell*>*>(memory);
}

}  // namespace

CellTable::CellTable(std::size_t cells_max, std::size_t holders)
    : batches_max_(std::min((cells_max + kBatchCells - 1) / kBatchCells + 2 * holders,
                            kChunksMax * (kChunkCells / kBatchCells))),
      chunks_(map_entries(kChunksMax)) {}

void CellTable::Unmap::operator()(void* memory) const {
  ::munmap(memory, kChunksMax * sizeof(std::atomic<ActorCell*>));
}

CellTable::~CellTable() {
  if constexpr (!std::is_trivially_destructible_v<ActorCell>) for_each([](ActorCell& cell) { cell.~ActorCell(); });
  for (std::size_t i = 0; i < chunk_count_; ++i)
    ::operator delete(chunks_[i].load(std::memory_order_relaxed), std::align_val_t(alignof(ActorCell)));
}

void CellTable::give_batch(ActorCell* cells) {
  std::lock_guard lock(mutex_);
  free_batches_.push_back(cells);
}

ActorCell* CellTable::take_batch() {
  std::lock_guard lock(mutex_);
  if (!free_batches_.empty()) {
    ActorCell* batch = free_batches_.back();
    free_batches_.pop_back();
    return batch;
  }
  if (batch_count_ == batches_max_) return nullptr;
  constexpr std::size_t kBatchesPerChunk = kChunkCells / kBatchCells;
  if (batch_count_ % kBatchesPerChunk == 0) add_chunk();
  ActorCell* cells = chunks_[chunk_count_ - 1].load(std::memory_order_relaxed);
  return cells + batch_count_++ % kBatchesPerChunk * kBatchCells;
}

void CellTable::add_chunk() {
  auto* cells =
      static_cast<ActorCell*>(::operator new(sizeof(ActorCell) * kChunkCells, std::align_val_t(alignof(ActorCell))));
  for (std::size_t i = 0; i < kChunkCells; ++i) {
    ActorCell* cell = ::new (cells + i) ActorCell;
    cell->slot = static_cast<std::uint32_t>(chunk_count_ << kChunkBits | i);
    cell->run_next = (i + 1) % kBatchCells != 0 ? cells + i + 1 : nullptr;
  }
  // release: find() of another thread must see the cells constructed.
  chunks_[chunk_count_++].store(cells, std::memory_order_release);
}

}  // namespace plexspaces::detail
