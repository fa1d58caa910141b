// What went wrong, in one pointer; and Result, which carries it.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <type_traits>
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

/// A failure: a code, a domain code with a page in docs/errors/, and a message that says what to do.
///
/// Copies share one immutable record, so an Error is one pointer wide and cheap to pass on.
/// Threads: any, as of a shared pointer to const. A moved-from Error may only be assigned or destroyed.
class [[nodiscard]] Error {
 public:
  /// Whether the same request may be sent again.
  enum class Retry : std::uint8_t {
    kNever,    // it fails again until the request or the system is changed
    kSame,     // at once, with the same idempotency key
    kBackoff,  // later, with the same idempotency key
  };

  /// `domain` is a stable id such as "PLX-ACT-0001", or empty.
  Error(Code code, std::string message, std::string_view domain = {}, Retry retry = Error::Retry::kNever);
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

}  // namespace plexspaces

/// What `.value()` of a Result throws that holds an error: what() is the error, as to_string() writes it.
template <>
class std::bad_expected_access<plexspaces::Error> : public std::bad_expected_access<void> {
 public:
  explicit bad_expected_access(plexspaces::Error error) : error_(std::move(error)), what_(error_.to_string()) {}

  const char* what() const noexcept override { return what_.c_str(); }
  plexspaces::Error& error() & noexcept { return error_; }
  const plexspaces::Error& error() const& noexcept { return error_; }
  plexspaces::Error&& error() && noexcept { return std::move(error_); }
  const plexspaces::Error&& error() const&& noexcept { return std::move(error_); }

 private:
  plexspaces::Error error_;
  std::string what_;
};

namespace plexspaces {

/// A `T`, or why there is none: a std::expected<T, Error> that must not be forgotten. A call whose Result, or Status,
/// is not looked at makes a compiler warn; `std::ignore = f()` says that it is meant.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result() = default;
  Result(std::expected<T, Error> other)  // NOLINT(google-explicit-constructor): they are one thing
      : std::expected<T, Error>(std::move(other)) {}
};

namespace detail {
template <class T>
inline constexpr bool kNumber =
    std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char> && !std::is_same_v<T, wchar_t> &&
    !std::is_same_v<T, char8_t> && !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>;
}  // namespace detail

// Those of std::expected would compare the value of `a` with the Result `b`, and are ambiguous for a Result and a
// value.
template <class T>
bool operator==(const Result<T>& a, const Result<T>& b) {
  if (a.has_value() != b.has_value()) return false;
  if (!a.has_value()) return a.error() == b.error();
  if constexpr (std::is_void_v<T>)
    return true;
  else
    return *a == *b;
}
template <class T, class U>
  requires(!std::is_base_of_v<std::expected<T, Error>, U>)
bool operator==(const Result<T>& a, const U& b) {
  // A number is compared as a number, whatever the sign of its type: `count == 3`.
  if constexpr (detail::kNumber<T> && detail::kNumber<U>)
    return a.has_value() && std::cmp_equal(*a, b);
  else
    return a.has_value() && *a == b;
}
template <class T>
bool operator==(const Result<T>& a, const std::unexpected<Error>& b) {
  return !a.has_value() && a.error() == b.error();
}

/// Done, or why not.
using Status = Result<void>;

/// What becomes of a tell as far as its sender can know: a Status that may be forgotten. A message that is refused is a
/// dead letter, counted with its reason, so forgetting this loses no error. Look at it to slow down or to say no.
class TellStatus : public std::expected<void, Error> {
 public:
  using std::expected<void, Error>::expected;
  TellStatus() = default;
  // A TellStatus becomes a Status by itself, but not the reverse, so that `a ? ref.tell(m) : Status()` has one type.
  explicit TellStatus(Status status) : std::expected<void, Error>(std::move(status)) {}
};

/// `return fail(Code::kNotFound, "...")` from any function that returns a Result.
inline std::unexpected<Error> fail(Code code, std::string message, std::string_view domain = {},
                                   Error::Retry retry = Error::Retry::kNever) {
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
