// What went wrong, in one pointer; and Result, which carries it.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace plexspaces {

/// The canonical codes of gRPC, with gRPC's numbers: they are the same in C++, on the wire and in HTTP (http_status()).
enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,  // may have happened: the outcome is not known. Not the same as kUnavailable, which did not happen.
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// The name as gRPC writes it: "NOT_FOUND".
std::string_view code_name(Code code);

/// The HTTP status of an error with this code.
int http_status(Code code);

/// Whether the same request may be sent again.
enum class Retry : std::uint8_t {
  kNever,    // it fails again until the request or the system is changed
  kSame,     // at once, with the same idempotency key
  kBackoff,  // later, with the same idempotency key
};

/// A failure: a code, a domain code with a page in docs/errors/, and a message that says what to do.
///
/// Copies share one immutable record, so an Error is one pointer wide and cheap to pass on.
/// Threads: any, as of a shared pointer to const. A moved-from Error may only be assigned or destroyed.
class [[nodiscard]] Error {
 public:
  /// `domain` is a stable id such as "PLX-ACT-0001", or empty.
  Error(Code code, std::string message, std::string_view domain = {}, Retry retry = Retry::kNever);
  Error(const Error& other) noexcept;
  Error(Error&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  Error& operator=(Error other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~Error();

  Code code() const;
  const std::string& message() const;
  const std::string& domain() const;
  Retry retry() const;
  /// The error that led to this one, or null.
  const Error* cause() const;

  /// @returns this error with `cause` beneath it.
  Error caused_by(Error cause) const;
  /// @returns this error with `prefix` and ": " before its message.
  Error with_prefix(std::string_view prefix) const;

  /// @returns this error as it is stored and leaves a node: without causes, whose texts follow its own ("...; because
  /// ..."), and with at most kErrorTextBytesMax bytes of text; what is longer is cut at a character and ends with
  /// "...".
  Error flattened() const;

  /// "NOT_FOUND [PLX-ACT-0002]: no actor ...; because ..."
  std::string to_string() const;

  /// Same code, domain code and message; the cause does not count.
  friend bool operator==(const Error& a, const Error& b);

 private:
  struct Record;
  Record* record_;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// `return fail(Code::kNotFound, "...")` from any function that returns a Result.
inline std::unexpected<Error> fail(Code code, std::string message, std::string_view domain = {},
                                   Retry retry = Retry::kNever) {
  return std::unexpected<Error>(Error(code, std::move(message), domain, retry));
}

}  // namespace plexspaces

#define PLX_DETAIL_CONCAT2(a, b) a##b
#define PLX_DETAIL_CONCAT(a, b) PLX_DETAIL_CONCAT2(a, b)
#define PLX_DETAIL_TRY(temporary, return_keyword, name, ...)                    \
  auto temporary = (__VA_ARGS__);                                               \
  if (!temporary) return_keyword std::unexpected(std::move(temporary).error()); \
  auto&& name = *std::move(temporary)
#define PLX_DETAIL_CHECK_STATUS(temporary, return_keyword, ...) \
  if (auto temporary = (__VA_ARGS__); !temporary) return_keyword std::unexpected(std::move(temporary).error())

/// PLX_TRY(name, expression): names the value of a Result, or returns its error from this function.
#define PLX_TRY(name, ...) PLX_DETAIL_TRY(PLX_DETAIL_CONCAT(plx_result_, __LINE__), return, name, __VA_ARGS__)
/// PLX_TRY_STATUS(expression): returns the error of a Status, if it has one.
#define PLX_TRY_STATUS(...) PLX_DETAIL_CHECK_STATUS(PLX_DETAIL_CONCAT(plx_status_, __LINE__), return, __VA_ARGS__)
/// The same two inside a coroutine.
#define PLX_CO_TRY(name, ...) PLX_DETAIL_TRY(PLX_DETAIL_CONCAT(plx_result_, __LINE__), co_return, name, __VA_ARGS__)
#define PLX_CO_TRY_STATUS(...) PLX_DETAIL_CHECK_STATUS(PLX_DETAIL_CONCAT(plx_status_, __LINE__), co_return, __VA_ARGS__)
