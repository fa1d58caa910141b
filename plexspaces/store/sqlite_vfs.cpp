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

// The last bytes of the page at `offset`: checksum of page and number, then the number.
std::array<char, SqliteVfs::kReservedBytes> trailer(std::string_view body, std::uint64_t offset) {
  std::array<char, SqliteVfs::kReservedBytes> bytes{};
  auto number = static_cast<std::uint32_t>(offset / kPageBytes) + 1;
  for (int i = 0; i < 4; ++i) bytes[4 + i] = static_cast<char>(number >> (8 * i));
  std::uint32_t sum = crc32c(std::string_view(&bytes[4], 4), crc32c(body));
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(sum >> (8 * i));
  return bytes;
}

bool page_is_sound(std::string_view page, std::uint64_t offset) {
  auto expected = trailer(page.substr(0, kBodyBytes), offset);
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

  env::File* wal = nullptr;  // while SQLite has it open
  WalSalt salt{};
  std::uint64_t wal_end = 0;         // of the last write
  std::uint64_t wal_synced_end = 0;  // as of the last sync: all that committed transactions have written
  std::unique_ptr<env::File> mark;
};

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
    auto end = trailer({open.page.data(), kBodyBytes}, at);
    std::memcpy(open.page.data() + kBodyBytes, end.data(), end.size());
    bytes = std::as_bytes(std::span(open.page));
  }
  auto written = open.file->write(at, bytes);
  open.dirty = true;
  if (!written) return vfs.failed(written.error(), SQLITE_IOERR_WRITE);
  if (open.kind == Kind::kWal) {
    vfs.wal_end = at + bytes.size();
    if (at == 0 && bytes.size() == kWalHeaderBytes) {
      const auto* header = static_cast<const unsigned char*>(from);
      for (int word = 0; word < 2; ++word) {
        const unsigned char* salt = header + 16 + 4 * word;
        vfs.salt[word] = static_cast<std::uint32_t>(salt[0]) << 24 | static_cast<std::uint32_t>(salt[1]) << 16 |
                         static_cast<std::uint32_t>(salt[2]) << 8 | salt[3];
      }
    }
  }
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
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) open->kind = Kind::kDatabase;
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

Status SqliteVfs::recover() {
  Impl& vfs = *impl_;
  bool database_is_empty = true;
  PLX_TRY(database_exists, vfs.disk.exists(vfs.database));
  PLX_TRY(journal_exists, vfs.disk.exists(vfs.database + "-journal"));
  // The page size and reserve in the header decide how everything else is read, before any checksum. With a rollback
  // journal the database is being created, and SQLite puts back what was there.
  if (database_exists && !journal_exists) {
    PLX_TRY(file, vfs.disk.open(vfs.database, env::Disk::Open::kExisting));
    std::array<char, 24> header{};
    PLX_TRY(got, file->read(0, std::as_writable_bytes(std::span(header))));
    constexpr std::string_view kMagic("SQLite format 3\0", 16);
    bool sound = std::string_view(header.data(), 16) == kMagic && header[16] == static_cast<char>(kPageBytes >> 8) &&
                 header[17] == 0 && header[20] == static_cast<char>(kReservedBytes);
    database_is_empty = got == 0;
    if (got > 0 && !sound)
      return fail(
          Code::kDataLoss,
          fmt::format("'{}' is not a database of ours or its header is damaged: restore the data directory from "
                      "a backup, or choose another one",
                      vfs.database),
          "PLX-STO-0032");
  }

  std::optional<WalMark> mark;
  std::string mark_path = vfs.database + "-mark";
  PLX_TRY(mark_file, vfs.disk.open(mark_path, env::Disk::Open::kCreate));
  // Even when it was there: an earlier process may have failed to make the names durable.
  PLX_TRY_STATUS(vfs.disk.sync_directory(directory_of(mark_path)));
  std::string bytes(WalMark::kBytes + 1, '\0');
  PLX_TRY(mark_bytes, mark_file->read(0, std::as_writable_bytes(std::span(bytes))));
  // A mark that cannot be read is as none: a write of it may have failed half-way, and it only helps to find damage.
  if (auto decoded = WalMark::decode(std::string_view(bytes).substr(0, mark_bytes))) mark = *decoded;
  vfs.mark = std::move(mark_file);

  std::string wal_path = vfs.database + "-wal";
  PLX_TRY(wal_exists, vfs.disk.exists(wal_path));
  if (!wal_exists) {
    if (mark) return fail(Code::kDataLoss, fmt::format("'{}' is missing", wal_path), "PLX-STO-0030");
    return {};
  }
  PLX_TRY(wal, vfs.disk.open(wal_path, env::Disk::Open::kExisting));
  PLX_TRY(state, check_wal(*wal, wal_path, kPageBytes, mark));
  // SQLite would take an empty database for a new one, and throw the log away.
  if (database_is_empty && !journal_exists && state.bytes > kWalHeaderBytes)
    return fail(Code::kDataLoss,
                fmt::format("'{}' is missing or empty, though it has a log: restore the data directory from a backup",
                            vfs.database),
                "PLX-STO-0032");
  if (state.bytes <= kWalHeaderBytes) {
    // Started over and empty: the database file is whole, and the next log may have any name. Even when no mark was
    // read: that it is gone may not be durable yet.
    state.bytes = 0;
    PLX_TRY_STATUS(vfs.mark->truncate(0));
    PLX_TRY_STATUS(vfs.mark->sync());
  }
  // What was read may be only in the system's cache: left by a killed process, or by one whose sync failed, after which
  // the system takes dirty pages for clean. Written again it is dirty, and durable before anything is built on it.
  PLX_TRY_STATUS(write_again(*wal, state.bytes));
  // The tail is of one torn transaction. Left there, it could look like damage beside the next one.
  PLX_TRY_STATUS(wal->truncate(state.bytes));
  PLX_TRY_STATUS(wal->sync());
  vfs.salt = state.salt;
  vfs.wal_end = state.bytes;
  vfs.wal_synced_end = state.bytes;
  return {};
}

Status SqliteVfs::write_mark() {
  Impl& vfs = *impl_;
  if (vfs.failure) return std::unexpected(*vfs.failure);
  std::string bytes = WalMark{.salt = vfs.salt, .bytes = vfs.wal_synced_end}.encode();
  auto done = vfs.mark->write(0, std::as_bytes(std::span(bytes)));
  if (done) done = vfs.mark->sync();
  if (!done) vfs.failed(done.error(), 0);
  return done;
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
