#include "plexspaces/base/error.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/base/utf8.hpp"

namespace plexspaces {

struct Error::Record {
  std::atomic<std::uint32_t> references{1};
  Code code;
  Retry retry;
  std::string message;
  std::string domain;
  std::optional<Error> cause;
};

namespace {

struct CodeRow {
  std::string_view name;
  int http;
};

// Indexed by the code's number. HTTP as gRPC's own transcoding maps them, except that bad input that is well-formed
// JSON is told apart by the edge itself.
constexpr std::array<CodeRow, 17> kCodes{{
    {"OK", 200},
    {"CANCELLED", 499},
    {"UNKNOWN", 500},
    {"INVALID_ARGUMENT", 400},
    {"DEADLINE_EXCEEDED", 504},
    {"NOT_FOUND", 404},
    {"ALREADY_EXISTS", 409},
    {"PERMISSION_DENIED", 403},
    {"RESOURCE_EXHAUSTED", 429},
    {"FAILED_PRECONDITION", 400},
    {"ABORTED", 409},
    {"OUT_OF_RANGE", 400},
    {"UNIMPLEMENTED", 501},
    {"INTERNAL", 500},
    {"UNAVAILABLE", 503},
    {"DATA_LOSS", 500},
    {"UNAUTHENTICATED", 401},
}};

}  // namespace

std::string_view code_name(Code code) { return kCodes[static_cast<std::size_t>(code)].name; }

int http_status(Code code) { return kCodes[static_cast<std::size_t>(code)].http; }

Error::Error(Code code, std::string message, std::string_view domain, Retry retry)
    : record_(new Record{
          .code = code, .retry = retry, .message = std::move(message), .domain = std::string(domain), .cause = {}}) {}

Error::Error(const Error& other) noexcept : record_(other.record_) {
  record_->references.fetch_add(1, std::memory_order_relaxed);
}

Error::~Error() {
  // acq_rel: the last owner must see every other owner's use of the record before it deletes it.
  if (record_ != nullptr && record_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete record_;
}

Code Error::code() const { return record_->code; }
const std::string& Error::message() const { return record_->message; }
const std::string& Error::domain() const { return record_->domain; }
Error::Retry Error::retry() const { return record_->retry; }
const Error* Error::cause() const { return record_->cause ? &*record_->cause : nullptr; }

Error Error::caused_by(Error cause) const {
  Error copy(code(), message(), domain(), retry());
  copy.record_->cause = std::move(cause);
  return copy;
}

Error Error::with_prefix(std::string_view prefix) const {
  Error copy(code(), fmt::format("{}: {}", prefix, message()), domain(), retry());
  copy.record_->cause = record_->cause;
  return copy;
}

Error Error::flattened() const {
  bool fits = message().size() <= kErrorTextBytesMax && domain().size() <= kErrorTextBytesMax;
  if (cause() == nullptr && fits) return *this;
  constexpr std::string_view kCut = "...";
  std::string text = message();
  for (const Error* beneath = cause(); beneath != nullptr; beneath = beneath->cause())
    text += "; because " + beneath->message();
  if (text.size() > kErrorTextBytesMax)
    text = std::string(text_prefix(text, kErrorTextBytesMax - kCut.size())).append(kCut);
  return Error(code(), std::move(text), text_prefix(domain(), kErrorTextBytesMax), retry());
}

std::string Error::to_string() const {
  std::string text(code_name(code()));
  if (!domain().empty()) text += fmt::format(" [{}]", domain());
  text += ": " + message();
  if (cause() != nullptr) text += "; because " + cause()->to_string();
  return text;
}

bool operator==(const Error& a, const Error& b) {
  return a.code() == b.code() && a.domain() == b.domain() && a.message() == b.message();
}

}  // namespace plexspaces
