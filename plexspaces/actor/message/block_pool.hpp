// Memory for messages and coroutine frames that is allocated on one worker and freed on another.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

namespace plexspaces::detail {

// Sanitizers see nothing inside a pool, so with them every block is the allocator's own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kPoolBlocks = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kPoolBlocks = false;
#else
inline constexpr bool kPoolBlocks = true;
#endif
#else
inline constexpr bool kPoolBlocks = true;
#endif

inline constexpr std::size_t kBlockBytesMin = 64;
inline constexpr std::size_t kBlockClasses = 6;  // 64, 128, ... 2048 bytes
inline constexpr std::size_t kBlockBytesMax = kBlockBytesMin << (kBlockClasses - 1);

/// The class of the smallest block with `bytes`; kBlockClasses when none is large enough.
constexpr std::size_t block_class(std::size_t bytes) {
  if (bytes <= kBlockBytesMin) return 0;
  if (bytes > kBlockBytesMax) return kBlockClasses;
  return static_cast<std::size_t>(std::bit_width(bytes - 1)) - 6;
}

struct FreeBlock {
  FreeBlock* next;
};

/// A list of free blocks that changes hands as a whole.
struct Magazine {
  FreeBlock* head = nullptr;
  std::size_t count = 0;
};

/// Full magazines of all workers, and the slabs behind them. Threads: any. Slabs go back when it is destroyed.
/// Whoever takes a magazine has the mutex after the one that gave it, so the links within are written for it; a worker
/// comes here once for 256 blocks, so a lock-free list would win nothing.
class BlockDepot {
 public:
  BlockDepot() = default;
  BlockDepot(const BlockDepot&) = delete;
  ~BlockDepot();

  static constexpr std::size_t kMagazineBlocks = 256;

  /// @returns a magazine with at least one block of the class.
  Magazine take(std::size_t block_class);
  void give(std::size_t block_class, Magazine magazine);

 private:
  std::mutex mutex_;
  std::array<std::vector<Magazine>, kBlockClasses> full_;
  std::vector<void*> slabs_;
};

/// One worker's blocks. allocate() and free() are a list operation; memory goes between workers a magazine at a time,
/// so that freeing what another worker allocated costs no more than freeing one's own. Threads: its worker's only.
class BlockPool {
 public:
  explicit BlockPool(BlockDepot& depot) : depot_(depot) {}
  BlockPool(const BlockPool&) = delete;
  ~BlockPool();

  /// A block of the class, aligned to 64 bytes.
  void* allocate(std::size_t block_class) {
    if constexpr (!kPoolBlocks) return ::operator new(kBlockBytesMin << block_class, std::align_val_t(64));
    Shelf& shelf = shelves_[block_class];
    if (shelf.loaded.head == nullptr) [[unlikely]]
      reload(block_class);
    FreeBlock* block = shelf.loaded.head;
    shelf.loaded.head = block->next;
    --shelf.loaded.count;
    return block;
  }

  /// `memory` came from allocate() of this class, of any worker of the same depot.
  void free(void* memory, std::size_t block_class) {
    if constexpr (!kPoolBlocks) return ::operator delete(memory, std::align_val_t(64));
    Shelf& shelf = shelves_[block_class];
    if (shelf.loaded.count == BlockDepot::kMagazineBlocks) [[unlikely]]
      unload(block_class);
    auto* block = static_cast<FreeBlock*>(memory);
    block->next = shelf.loaded.head;
    shelf.loaded.head = block;
    ++shelf.loaded.count;
  }

 private:
  // Two magazines: a worker at the edge of one does not visit the depot for every block.
  struct Shelf {
    Magazine loaded;
    Magazine spare;
  };
  void reload(std::size_t block_class);
  void unload(std::size_t block_class);

  BlockDepot& depot_;
  std::array<Shelf, kBlockClasses> shelves_;
};

}  // namespace plexspaces::detail
