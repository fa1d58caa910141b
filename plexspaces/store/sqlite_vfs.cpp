#include "plexspaces/store/sqlite_vfs.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sqlite3.h>

#include "plexspaces/base/check.hpp"
#include "plexspaces/store/crc32c.hpp"
#include "plexspaces/store/wal_check.hpp"

namespace plexspaces::store {

namespace {

constexpr int kSectorBytes = 512;
constexpr std::size_t kPageBytes = SqliteVfs::kPageBytes;
constexpr std::size_t kBodyBytes = kPageBytes - SqliteVfs::kReservedBytes;
constexpr std::size_t kWalHeaderBytes = 32;
constexpr std::size_t kRewriteBytes = std::size_t{256} << 10;  // at once, while recovering

std::string directory_of(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string(".") : path.substr(0, slash);
}

// Behind the body of a page: a checksum of body, page number and checkpoint; then the number of the checkpoint that
// wrote the page. Then, on the first page, the tie, which has a checksum of its own: it is written alone, and read
// before the page is trusted.
constexpr std::size_t kTrailerBytes = 8;
constexpr std::size_t kTieOffset = kBodyBytes + kTrailerBytes;
static_assert(kTieOffset + WalTie::kBytes == kPageBytes);
static_assert(kPageBytes - kTieOffset <= kSectorBytes, "the tie is written by one sector");

std::array<char, kTrailerBytes> trailer(std::string_view body, std::uint64_t offset, std::uint32_t checkpoint) {
  std::array<char, kTrailerBytes> bytes{};
  auto number = static_cast<std::uint32_t>(offset / kPageBytes) + 1;
  std::array<char, 8> covered{};
  for (int i = 0; i < 4; ++i) {
    covered[i] = static_cast<char>(number >> (8 * i));
    covered[4 + i] = bytes[4 + i] = static_cast<char>(checkpoint >> (8 * i));
  }
  std::uint32_t sum = crc32c(std::string_view(covered.data(), covered.size()), crc32c(body));
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(sum >> (8 * i));
  return bytes;
}

std::uint32_t checkpoint_of(std::string_view page) {
  std::uint32_t number = 0;
  for (int i = 3; i >= 0; --i) number = number << 8 | static_cast<unsigned char>(page[kBodyBytes + 4 + i]);
  return number;
}

bool page_is_sound(std::string_view page, std::uint64_t offset) {
  auto expected = trailer(page.substr(0, kBodyBytes), offset, checkpoint_of(page));
  if (std::memcmp(page.data() + kBodyBytes, expected.data(), expected.size()) == 0) return true;
  // A page that was allocated and freed in one transaction is never written: a hole in the file.
  return std::ranges::all_of(page, [](char byte) { return byte == '\0'; });
}

enum class Kind : std::uint8_t { kDatabase, kWal, kOther };

#if defined(PLX_BUG_ACK_BEFORE_SYNC)
// The log as a store has it that answers before it has written: writes stay in memory for many syncs, and no sync
// reaches the disk. So a killed process loses what it acknowledged, not only a machine without power.
class LateFile final : public env::File {
 public:
  explicit LateFile(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  ~LateFile() override { static_cast<void>(write_held()); }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) override {
    PLX_TRY_STATUS(write_held());
    return file_->read(offset, into);
  }
  Status write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    held_.emplace_back(offset, std::vector(bytes.begin(), bytes.end()));
    return {};
  }
  Status truncate(std::uint64_t size) override {
    PLX_TRY_STATUS(write_held());
    return file_->truncate(size);
  }
  Result<std::uint64_t> size() override {
    PLX_TRY_STATUS(write_held());
    return file_->size();
  }
  Status sync() override {
    constexpr std::size_t kSyncsHeld = 64;
    return ++syncs_ % kSyncsHeld == 0 ? write_held() : Status();
  }

 private:
  Status write_held() {
    for (const auto& [offset, bytes] : std::exchange(held_, {})) PLX_TRY_STATUS(file_->write(offset, bytes));
    return {};
  }

  std::unique_ptr<env::File> file_;
  std::vector<std::pair<std::uint64_t, std::vector<std::byte>>> held_;
  std::size_t syncs_ = 0;
};
#endif

}  // namespace

struct SqliteVfs::Impl {
  Impl(env::Disk& d, env::Random& r, env::Clock& c, std::string path)
      : disk(d), random(r), clock(c), database(std::move(path)) {}

  // Keeps the first failure that leaves the files unknown; a full disk is not one: nothing was synced.
  int failed(const Error& error, int result) {
    last_error = error;
    if (error.code() == Code::kResourceExhausted) return SQLITE_FULL;
    if (!failure) failure = error;
    return result;
  }

  env::Disk& disk;
  env::Random& random;
  env::Clock& clock;
  std::string database;
  std::string name;
  sqlite3_vfs vfs{};
  std::optional<Error> failure;
  std::optional<Error> last_error;

  Status write_tie(env::File& file, const WalTie& next);
  Status stamp_last_page();
  Status check_last_page(env::File& file);
  Status begin_log(const WalSalt& next);
  Status keep_torn(env::File& log, const WalState& state);
  Result<bool> read_first_page(env::File& file, bool being_created);

  env::File* main = nullptr;  // the database file, while SQLite has it open
  env::File* wal = nullptr;   // while SQLite has it open
  WalTie tie;                 // as it stands in the database file
  std::string note;
  WalSalt salt{};
  std::uint64_t wal_end = 0;         // of the last write
  std::uint64_t wal_synced_end = 0;  // as of the last sync: all that committed transactions have written
};

// Writes over the sector that holds the tie, which a crash keeps or loses as a whole.
Status SqliteVfs::Impl::write_tie(env::File& file, const WalTie& next) {
  std::array<char, kSectorBytes> sector{};
  constexpr std::uint64_t kAt = kPageBytes - kSectorBytes;
  auto written = [&]() -> Status {
    PLX_TRY(got, file.read(kAt, std::as_writable_bytes(std::span(sector))));
    if (got != sector.size())
      return fail(Code::kUnavailable, fmt::format("'{}' became shorter while it was open", database), "PLX-STO-0038");
    std::string bytes = next.encode();
    std::ranges::copy(bytes, sector.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    return file.write(kAt, std::as_bytes(std::span(sector)));
  }();
  if (!written) {
    failed(written.error(), 0);
    return written;
  }
  if (auto synced = file.sync(); !synced) {
    last_error = failure = synced.error();
    return synced;
  }
  tie = next;
  return {};
}

// Gives the last page of the database file the number of the checkpoint that begins, in the one sector that holds it:
// the page is sound before and after. A copy that was taken from the beginning to the end while checkpoints went on
// shows by its end, when it is opened.
Status SqliteVfs::Impl::stamp_last_page() {
  PLX_TRY(size, main->size());
  std::uint64_t pages = size / kPageBytes;
  if (pages < 2) return {};
  std::uint64_t offset = (pages - 1) * kPageBytes;
  std::array<char, kPageBytes> page{};
  std::string_view view(page.data(), page.size());
  PLX_TRY(got, main->read(offset, std::as_writable_bytes(std::span(page))));
  // A page that was never written stays so; a damaged one is not made to look sound.
  if (got != page.size() || !page_is_sound(view, offset) || view.find_first_not_of('\0') == std::string_view::npos)
    return {};
  auto end = trailer(view.substr(0, kBodyBytes), offset, tie.checkpoint);
  std::ranges::copy(end, page.begin() + kBodyBytes);
  return main->write(offset + kPageBytes - kSectorBytes, std::as_bytes(std::span(page)).last(kSectorBytes));
}

// A new log is about to begin: SQLite lets it, because the database file has all of the one before.
Status SqliteVfs::Impl::begin_log(const WalSalt& next) {
  if (main == nullptr || next == tie.next || next == tie.salt) return {};
  WalTie both = tie;
  both.next = next;
  return write_tie(*main, both);
}

namespace {

struct OpenFile {
  SqliteVfs::Impl* vfs = nullptr;
  std::unique_ptr<env::File> file;
  Kind kind = Kind::kOther;
  bool dirty = true;                  // as far as this process knows: an earlier one may have left something
  std::array<char, kPageBytes> page;  // a page on its way out, with its trailer
};

// What SQLite allocates: its header and our pointer.
struct Handle {
  sqlite3_file base;
  OpenFile* open;
};

OpenFile& opened(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->open; }
SqliteVfs::Impl& impl_of(sqlite3_vfs* vfs) { return *static_cast<SqliteVfs::Impl*>(vfs->pAppData); }

int file_close(sqlite3_file* file) {
  auto* handle = reinterpret_cast<Handle*>(file);
  if (handle->open->kind == Kind::kWal) handle->open->vfs->wal = nullptr;
  if (handle->open->kind == Kind::kDatabase) handle->open->vfs->main = nullptr;
  delete handle->open;
  handle->open = nullptr;
  return SQLITE_OK;
}

int file_read(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset) {
  OpenFile& open = opened(file);
  if (open.vfs->failure) return SQLITE_IOERR_READ;
  auto size = static_cast<std::size_t>(amount);
  auto at = static_cast<std::uint64_t>(offset);
  auto got = open.file->read(at, std::span(static_cast<std::byte*>(into), size));
  if (!got) {
    open.vfs->last_error = got.error();
    return SQLITE_IOERR_READ;
  }
  if (*got < size) {
    std::memset(static_cast<char*>(into) + *got, 0, size - *got);
    return SQLITE_IOERR_SHORT_READ;
  }
  bool whole_page = open.kind == Kind::kDatabase && size == kPageBytes && at % kPageBytes == 0;
  if (whole_page && !page_is_sound({static_cast<const char*>(into), size}, at)) return SQLITE_IOERR_DATA;
  return SQLITE_OK;
}

int file_write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
  OpenFile& open = opened(file);
  SqliteVfs::Impl& vfs = *open.vfs;
  if (vfs.failure) return SQLITE_IOERR_WRITE;
  std::span bytes(static_cast<const std::byte*>(from), static_cast<std::size_t>(amount));
  auto at = static_cast<std::uint64_t>(offset);
  if (open.kind == Kind::kDatabase && bytes.size() == kPageBytes && at % kPageBytes == 0) {
    std::memcpy(open.page.data(), from, kBodyBytes);
    auto end = trailer({open.page.data(), kBodyBytes}, at, vfs.tie.checkpoint);
    std::memcpy(open.page.data() + kBodyBytes, end.data(), end.size());
    std::memset(open.page.data() + kTieOffset, 0, WalTie::kBytes);
    if (at == 0) std::ranges::copy(vfs.tie.encode(), open.page.begin() + kTieOffset);
    bytes = std::as_bytes(std::span(open.page));
  }
  if (open.kind == Kind::kWal && at == 0 && bytes.size() == kWalHeaderBytes) {
    const auto* header = static_cast<const unsigned char*>(from);
    WalSalt salt{};
    for (int word = 0; word < 2; ++word) {
      const unsigned char* byte = header + 16 + 4 * word;
      salt[static_cast<std::size_t>(word)] = static_cast<std::uint32_t>(byte[0]) << 24 |
                                             static_cast<std::uint32_t>(byte[1]) << 16 |
                                             static_cast<std::uint32_t>(byte[2]) << 8 | byte[3];
    }
    if (auto begun = vfs.begin_log(salt); !begun) return vfs.failure ? SQLITE_IOERR_WRITE : SQLITE_FULL;
    vfs.salt = salt;
    vfs.wal_synced_end = kWalHeaderBytes;  // of this log nothing else is worth keeping yet
  }
  auto written = open.file->write(at, bytes);
  open.dirty = true;
  if (!written) return vfs.failed(written.error(), SQLITE_IOERR_WRITE);
  if (open.kind == Kind::kWal) vfs.wal_end = at + bytes.size();
  return SQLITE_OK;
}

int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
  OpenFile& open = opened(file);
  if (open.vfs->failure) return SQLITE_IOERR_TRUNCATE;
  open.dirty = true;
  auto done = open.file->truncate(static_cast<std::uint64_t>(size));
  if (!done) return open.vfs->failed(done.error(), SQLITE_IOERR_TRUNCATE);
  return SQLITE_OK;
}

int file_sync(sqlite3_file* file, int) {
  OpenFile& open = opened(file);
  SqliteVfs::Impl& vfs = *open.vfs;
  if (vfs.failure) return SQLITE_IOERR_FSYNC;
  // A checkpoint begins with a sync of the log, which the last commit has synced: a flush of the disk for nothing.
  if (!open.dirty) return SQLITE_OK;
  auto synced = open.file->sync();
  if (!synced) {
    // Whatever its code: after a failed sync nothing is known of the file.
    vfs.last_error = vfs.failure = synced.error();
    return SQLITE_IOERR_FSYNC;
  }
  open.dirty = false;
  if (open.kind == Kind::kWal) vfs.wal_synced_end = vfs.wal_end;
  return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  OpenFile& open = opened(file);
  if (open.vfs->failure) return SQLITE_IOERR_FSTAT;
  auto got = open.file->size();
  if (!got) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*got);
  return SQLITE_OK;
}

int file_lock(sqlite3_file*, int) { return SQLITE_OK; }
int file_check_reserved_lock(sqlite3_file*, int* held) {
  *held = 0;
  return SQLITE_OK;
}
int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int file_sector_size(sqlite3_file*) { return kSectorBytes; }
int file_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

int vfs_open(sqlite3_vfs* sqlite, const char* path, sqlite3_file* file, int flags, int* flags_out) {
  file->pMethods = nullptr;
  SqliteVfs::Impl& vfs = impl_of(sqlite);
  // Temporary files stay in memory (temp_store), so each file has a path.
  if (vfs.failure || path == nullptr) return SQLITE_CANTOPEN;
  auto existed = vfs.disk.exists(path);
  if (!existed) return SQLITE_CANTOPEN;
  bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  auto opened_file = vfs.disk.open(path, create ? env::Disk::Open::kCreate : env::Disk::Open::kExisting);
  if (!opened_file) {
    vfs.last_error = opened_file.error();
    if (opened_file.error().code() == Code::kResourceExhausted) return SQLITE_FULL;
    return SQLITE_CANTOPEN;
  }
  if (!*existed) {
    // At once: a synced file whose name is lost is lost.
    auto synced = vfs.disk.sync_directory(directory_of(path));
    if (!synced) return vfs.failed(synced.error(), SQLITE_IOERR_DIR_FSYNC);
  }
  auto* open = new (std::nothrow) OpenFile();
  if (open == nullptr) return SQLITE_NOMEM;
  open->vfs = &vfs;
  open->file = std::move(*opened_file);
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
    open->kind = Kind::kDatabase;
    vfs.main = open->file.get();
  }
  if ((flags & SQLITE_OPEN_WAL) != 0) {
    open->kind = Kind::kWal;
#if defined(PLX_BUG_ACK_BEFORE_SYNC)
    open->file = std::make_unique<LateFile>(std::move(open->file));
#endif
    vfs.wal = open->file.get();
  }
  reinterpret_cast<Handle*>(file)->open = open;
  file->pMethods = &kMethods;
  if (flags_out != nullptr) *flags_out = flags;
  return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* sqlite, const char* path, int sync_directory) {
  SqliteVfs::Impl& vfs = impl_of(sqlite);
  if (vfs.failure) return SQLITE_IOERR_DELETE;
  if (auto removed = vfs.disk.remove(path); !removed) return vfs.failed(removed.error(), SQLITE_IOERR_DELETE);
  if (sync_directory != 0)
    if (auto synced = vfs.disk.sync_directory(directory_of(path)); !synced)
      return vfs.failed(synced.error(), SQLITE_IOERR_DIR_FSYNC);
  return SQLITE_OK;
}

int vfs_access(sqlite3_vfs* sqlite, const char* path, int, int* result) {
  auto there = impl_of(sqlite).disk.exists(path);
  if (!there) return SQLITE_IOERR_ACCESS;
  *result = *there ? 1 : 0;
  return SQLITE_OK;
}

int vfs_full_path(sqlite3_vfs*, const char* path, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", path);
  return SQLITE_OK;
}

int vfs_randomness(sqlite3_vfs* sqlite, int size, char* out) {
  for (int done = 0; done < size; done += 8) {
    std::uint64_t value = impl_of(sqlite).random.next();
    std::memcpy(out + done, &value, static_cast<std::size_t>(std::min(8, size - done)));
  }
  return size;
}

// Nothing here waits for a lock, so there is nothing to sleep for.
int vfs_sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

int vfs_current_time(sqlite3_vfs* sqlite, double* julian_day) {
  constexpr double kUnixEpoch = 2440587.5;
  constexpr double kDayMilliseconds = 86'400'000;
  auto now = impl_of(sqlite).clock.wall_now().time_since_epoch().count();
  *julian_day = kUnixEpoch + static_cast<double>(now) / kDayMilliseconds;
  return SQLITE_OK;
}

int vfs_last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

// What the header of the database file says before anything else of it is read.
static Status check_format(std::string_view page, const std::string& path) {
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  constexpr std::size_t kReservedOffset = 20;
  constexpr std::size_t kApplicationOffset = 68;
  constexpr char kReservedBytesOfFormat1 = 8;
  bool ours = page.size() == kPageBytes && page.starts_with(kMagic) && page[16] == static_cast<char>(kPageBytes >> 8) &&
              page[17] == 0;
  if (ours && page[kReservedOffset] == static_cast<char>(SqliteVfs::kReservedBytes)) return {};
  // The application's number comes with the first checkpoint: before it stands in the log only.
  std::string_view application = page.substr(std::min(kApplicationOffset, page.size()), 4);
  if (ours && page[kReservedOffset] == kReservedBytesOfFormat1 &&
      (application == "PLTS" || application == std::string_view("\0\0\0\0", 4)))
    return fail(Code::kFailedPrecondition,
                fmt::format("'{}' has format version 1, which this program does not read: move the data directory away "
                            "and start with an empty one, or run the program that wrote it",
                            path),
                "PLX-STO-0036");
  return fail(Code::kDataLoss,
              fmt::format("'{}' is not a database of ours or its header is damaged: restore the data directory from a "
                          "backup, or choose another one",
                          path),
              "PLX-STO-0032");
}

SqliteVfs::SqliteVfs(env::Disk& disk, env::Random& random, env::Clock& clock, std::string database)
    : impl_(std::make_unique<Impl>(disk, random, clock, std::move(database))) {
  impl_->name = fmt::format("plexspaces-{}", static_cast<const void*>(this));
  impl_->vfs = {
      .iVersion = 1,
      .szOsFile = sizeof(Handle),
      .mxPathname = 4096,
      .zName = impl_->name.c_str(),
      .pAppData = impl_.get(),
      .xOpen = vfs_open,
      .xDelete = vfs_delete,
      .xAccess = vfs_access,
      .xFullPathname = vfs_full_path,
      .xRandomness = vfs_randomness,
      .xSleep = vfs_sleep,
      .xCurrentTime = vfs_current_time,
      .xGetLastError = vfs_last_error,
  };
  PLX_CHECK(sqlite3_vfs_register(&impl_->vfs, 0) == SQLITE_OK, "a VFS with a unique name can be registered");
}

SqliteVfs::~SqliteVfs() { sqlite3_vfs_unregister(&impl_->vfs); }

// Writes the first `bytes` of `file` over themselves.
static Status write_again(env::File& file, std::uint64_t bytes) {
  std::vector<std::byte> part(kRewriteBytes);
  for (std::uint64_t offset = 0; offset < bytes;) {
    std::span<std::byte> piece = std::span(part).first(std::min<std::uint64_t>(part.size(), bytes - offset));
    PLX_TRY(got, file.read(offset, piece));
    if (got != piece.size())
      return fail(Code::kUnavailable, "the log became shorter while it was read", "PLX-STO-0038");
    PLX_TRY_STATUS(file.write(offset, piece));
    offset += piece.size();
  }
  return {};
}

const char* SqliteVfs::name() const { return impl_->name.c_str(); }
const Error* SqliteVfs::failure() const { return impl_->failure ? &*impl_->failure : nullptr; }
const Error* SqliteVfs::last_error() const { return impl_->last_error ? &*impl_->last_error : nullptr; }
std::uint64_t SqliteVfs::wal_bytes() const { return impl_->wal_end; }

const std::string& SqliteVfs::recovery_note() const { return impl_->note; }

// What is cut off a log is either of a transaction that a crash has torn, which nobody was told of, or of damage that
// looks like one: a person must be able to see which.
Status SqliteVfs::Impl::keep_torn(env::File& log, const WalState& state) {
  std::uint64_t bytes = state.torn_end - state.bytes;
  std::string path;
  for (int slot = 1; slot <= SqliteVfs::kTornFilesMax; ++slot) {
    path = fmt::format("{}-torn-{}", database, slot);
    PLX_TRY(exists, disk.exists(path));
    if (!exists) break;
  }
  auto kept = [&]() -> Status {
    PLX_TRY(copy, disk.open(path, env::Disk::Open::kCreate));
    PLX_TRY_STATUS(copy->truncate(0));
    std::vector<std::byte> part(kRewriteBytes);
    for (std::uint64_t offset = 0; offset < bytes;) {
      std::span<std::byte> piece = std::span(part).first(std::min<std::uint64_t>(part.size(), bytes - offset));
      PLX_TRY(got, log.read(state.bytes + offset, piece));
      if (got == 0) break;
      PLX_TRY_STATUS(copy->write(offset, piece.first(got)));
      offset += got;
    }
    PLX_TRY_STATUS(copy->sync());
    return disk.sync_directory(directory_of(path));
  }();
  note = fmt::format(
      "'{}-wal' ended in {} bytes, from byte {} on, of a transaction that is not whole; they were cut off. That is "
      "normal after a crash, when nobody was told that the transaction was done",
      database, bytes, state.bytes);
  if (kept) {
    note += fmt::format(". They are kept in '{}'", path);
    return {};
  }
  // A full disk must not keep the store from opening: it may be what has torn the log.
  if (kept.error().code() != Code::kResourceExhausted) return kept;
  note += ". There was no room to keep them";
  return {};
}

// Reads the first page of the database file, which decides how everything else is read. @returns whether it is empty.
Result<bool> SqliteVfs::Impl::read_first_page(env::File& file, bool being_created) {
  std::array<char, kPageBytes> bytes{};
  PLX_TRY(got, file.read(0, std::as_writable_bytes(std::span(bytes))));
  std::string_view page(bytes.data(), got);
  if (page.empty()) return true;
  auto sound = check_format(page, database);
  // Half-written, perhaps: SQLite puts back what was there.
  if (!sound && being_created) return true;
  if (!sound) return std::unexpected(std::move(sound).error());
  auto read = WalTie::decode(page.substr(kTieOffset));
  if (!read && being_created) return true;
  if (!read) return std::unexpected(read.error().with_prefix(fmt::format("'{}'", database)));
  tie = *read;
  return false;
}

Status SqliteVfs::Impl::check_last_page(env::File& file) {
  PLX_TRY(size, file.size());
  std::uint64_t pages = size / kPageBytes;
  if (pages < 2) return {};
  std::array<char, kPageBytes> page{};
  PLX_TRY(got, file.read((pages - 1) * kPageBytes, std::as_writable_bytes(std::span(page))));
  if (got != page.size() || checkpoint_of({page.data(), page.size()}) <= tie.checkpoint) return {};
  return different_moments(
      fmt::format("the beginning of '{}' is older than its end: it was copied while a node ran", database));
}

Status SqliteVfs::recover() {
  Impl& vfs = *impl_;
  StorePaths paths{.database = vfs.database, .wal = vfs.database + "-wal"};
  std::string journal = vfs.database + "-journal";
  PLX_TRY(database_exists, vfs.disk.exists(vfs.database));
  PLX_TRY(journal_exists, vfs.disk.exists(journal));
  PLX_TRY(wal_exists, vfs.disk.exists(paths.wal));
  bool database_is_empty = true;
  std::unique_ptr<env::File> main;
  if (database_exists) {
    PLX_TRY(file, vfs.disk.open(vfs.database, env::Disk::Open::kExisting));
    main = std::move(file);
    PLX_TRY(empty, vfs.read_first_page(*main, journal_exists));
    database_is_empty = empty;
    if (!empty) PLX_TRY_STATUS(vfs.check_last_page(*main));
  }
  std::unique_ptr<env::File> wal;
  std::uint64_t wal_bytes = 0;
  if (wal_exists) {
    PLX_TRY(file, vfs.disk.open(paths.wal, env::Disk::Open::kExisting));
    wal = std::move(file);
    PLX_TRY(size, wal->size());
    wal_bytes = size;
  }
  // A journal is there only while the database is being created; SQLite would undo by it what was written since. A
  // crash may bring it back when the log has its name, but nothing in it.
  if (journal_exists && (vfs.tie != WalTie{} || wal_bytes > 0))
    return different_moments(fmt::format("'{}' is older than the files beside it", journal));
  // Even when nothing was made now: an earlier process may have failed to make the names durable.
  PLX_TRY_STATUS(vfs.disk.sync_directory(directory_of(paths.wal)));
  if (!wal_exists) {
    if (!vfs.tie.needs_log()) return {};
    return fail(
        Code::kDataLoss,
        fmt::format("'{}' is missing: it was removed, or the folder is older than '{}'; restore all files of the "
                    "data directory from one backup",
                    paths.wal, vfs.database),
        "PLX-STO-0030");
  }
  // SQLite would take an empty database for a new one, and throw the log away.
  if (database_is_empty && wal_bytes > kWalHeaderBytes)
    return fail(
        Code::kDataLoss,
        fmt::format("'{}' is missing or empty, so it was cut or is older than '{}': restore all files of the data "
                    "directory from one backup",
                    vfs.database, paths.wal),
        "PLX-STO-0032");
  PLX_TRY(state, check_wal(*wal, paths, kPageBytes, vfs.tie));
  if (state.torn_end > state.bytes) PLX_TRY_STATUS(vfs.keep_torn(*wal, state));
  // What was read may be only in the system's cache: left by a killed process, or by one whose sync failed, after which
  // the system takes dirty pages for clean. Written again it is dirty, and durable before anything is built on it.
  PLX_TRY_STATUS(write_again(*wal, state.bytes));
  WalTie tie = vfs.tie;
  if (state.bytes <= kWalHeaderBytes) {
    // Begun, but with nothing whole in it: the database file has everything, and the next log may have any name.
    tie = {.next = state.bytes > 0 ? state.salt : tie.next, .checkpoint = tie.checkpoint};
    state.bytes = 0;
  } else {
    // All that is whole now: from here on no older copy of the log can lie beside this file unseen. If a next log was
    // named, it has not begun.
    tie = {.salt = state.salt, .bytes = state.bytes, .next = {}, .checkpoint = tie.checkpoint};
  }
  if (!database_is_empty) {
    // The tie too, though it may be the same: what follows must not be durable before it.
    PLX_TRY_STATUS(wal->sync());
    PLX_TRY_STATUS(vfs.write_tie(*main, tie));
  }
  // The tail is of one torn transaction. Left there, it could look like damage beside the next one.
  PLX_TRY_STATUS(wal->truncate(state.bytes));
  PLX_TRY_STATUS(wal->sync());
  vfs.salt = state.salt;
  vfs.wal_end = state.bytes;
  vfs.wal_synced_end = state.bytes;
  return {};
}

Status SqliteVfs::name_new_log() { return impl_->tie.needs_log() ? Status() : write_tie(); }

Status SqliteVfs::write_tie() {
  Impl& vfs = *impl_;
  if (vfs.failure) return std::unexpected(*vfs.failure);
  if (vfs.main == nullptr || vfs.wal_synced_end == 0) return {};
  WalTie next{.salt = vfs.salt, .bytes = vfs.wal_synced_end, .next = {}, .checkpoint = vfs.tie.checkpoint + 1};
  PLX_TRY_STATUS(vfs.write_tie(*vfs.main, next));
  auto stamped = vfs.stamp_last_page();
  if (!stamped) vfs.failed(stamped.error(), 0);
  return stamped;
}

Status SqliteVfs::discard_unsynced_wal() {
  Impl& vfs = *impl_;
  if (vfs.failure) return std::unexpected(*vfs.failure);
  if (vfs.wal == nullptr) return {};
  auto done = vfs.wal->truncate(vfs.wal_synced_end);
  if (done) done = vfs.wal->sync();
  if (!done && !vfs.failure) vfs.failure = done.error();
  vfs.wal_end = vfs.wal_synced_end;
  return done;
}

}  // namespace plexspaces::store
