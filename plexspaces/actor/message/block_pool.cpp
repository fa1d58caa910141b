#include "plexspaces/actor/message/block_pool.hpp"

#include <utility>

namespace plexspaces::detail {

BlockDepot::~BlockDepot() {
  for (void* slab : slabs_) ::operator delete(slab, std::align_val_t(64));
}

Magazine BlockDepot::take(std::size_t block_class) {
  std::size_t block_bytes = kBlockBytesMin << block_class;
  char* slab = nullptr;
  {
    std::lock_guard lock(mutex_);
    auto& full = full_[block_class];
    if (!full.empty()) {
      Magazine magazine = full.back();
      full.pop_back();
      return magazine;
    }
    slab = static_cast<char*>(::operator new(block_bytes * kMagazineBlocks, std::align_val_t(64)));
    slabs_.push_back(slab);
  }
  Magazine magazine;
  for (std::size_t i = kMagazineBlocks; i-- > 0;) {
    auto* block = reinterpret_cast<FreeBlock*>(slab + i * block_bytes);
    block->next = magazine.head;
    magazine.head = block;
  }
  magazine.count = kMagazineBlocks;
  return magazine;
}

void BlockDepot::give(std::size_t block_class, Magazine magazine) {
  if (magazine.head == nullptr) return;
  std::lock_guard lock(mutex_);
  full_[block_class].push_back(magazine);
}

BlockPool::~BlockPool() {
  for (std::size_t i = 0; i < kBlockClasses; ++i) {
    depot_.give(i, shelves_[i].loaded);
    depot_.give(i, shelves_[i].spare);
  }
}

void BlockPool::reload(std::size_t block_class) {
  Shelf& shelf = shelves_[block_class];
  if (shelf.spare.head != nullptr)
    std::swap(shelf.loaded, shelf.spare);
  else
    shelf.loaded = depot_.take(block_class);
}

void BlockPool::unload(std::size_t block_class) {
  Shelf& shelf = shelves_[block_class];
  depot_.give(block_class, shelf.spare);
  shelf.spare = std::exchange(shelf.loaded, Magazine{});
}

}  // namespace plexspaces::detail
