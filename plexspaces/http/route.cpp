#include "plexspaces/http/route.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/base/utf8.hpp"

namespace plexspaces::http {

namespace {

constexpr std::size_t kSegmentsMax = 5;
constexpr std::string_view kDefaultTenant = "default";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<api::Verb> verb_of(std::string_view method) {
  if (method == "GET") return api::Verb::kRead;
  if (method == "POST" || method == "PUT") return api::Verb::kUpdate;
  if (method == "DELETE") return api::Verb::kDelete;
  return std::nullopt;
}

struct Segments {
  std::array<std::string_view, kSegmentsMax> parts;
  std::size_t count = 0;  // kSegmentsMax + 1: more than that
};

Segments split_segments(std::string_view path) {
  Segments segments;
  while (true) {
    if (segments.count == kSegmentsMax) return {.parts = segments.parts, .count = kSegmentsMax + 1};
    std::size_t end = path.find('/');
    segments.parts[segments.count++] = path.substr(0, end);
    if (end == std::string_view::npos) return segments;
    path.remove_prefix(end + 1);
  }
}

// The query holds `key` once, or nothing.
Result<std::optional<std::string_view>> key_of_query(std::string_view query) {
  std::optional<std::string_view> key;
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty()) continue;
    if (!pair.starts_with("key="))
      return fail(
          Code::kInvalidArgument,
          fmt::format("unknown query parameter '{}': an actor's path takes only `key`; a message's fields go into "
                      "the body",
                      excerpt(pair.substr(0, pair.find('=')))),
          "PLX-HTT-0006");
    if (key) return fail(Code::kInvalidArgument, "the query has `key` twice: name one", "PLX-HTT-0006");
    key = pair.substr(4);
    if (key->contains('+'))
      return fail(Code::kInvalidArgument, "a '+' in `key` is read in two ways: write %20 for a space, %2B for a plus",
                  "PLX-HTT-0006");
  }
  return key;
}

}  // namespace

Target split_target(std::string_view target) {
  Target split;
  if (!target.starts_with('/')) {  // absolute form, as proxies send it (RFC 9112, 3.2.2)
    std::size_t scheme = target.find("://");
    std::string_view rest = scheme == std::string_view::npos ? std::string_view{} : target.substr(scheme + 3);
    std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
    if (scheme != std::string_view::npos) split.authority = rest.substr(0, end);
    target = rest.substr(end);
    if (!target.starts_with('/')) return split;
  }
  std::size_t mark = target.find('?');
  split.path = target.substr(0, mark);
  if (mark != std::string_view::npos) split.query = target.substr(mark + 1);
  return split;
}

Result<std::string> percent_decode(std::string_view what, std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return fail(
          Code::kInvalidArgument,
          fmt::format("the {} has a '%' without two hexadecimal digits after it: write %25 for the sign itself", what),
          "PLX-HTT-0005");
    decoded.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  if (!is_utf8(decoded))
    return fail(Code::kInvalidArgument,
                fmt::format("the {} is not UTF-8: percent-encode the bytes of its UTF-8 form", what), "PLX-HTT-0005");
  return decoded;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (char c : text) {
    bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '.' || c == '_' || c == '~';
    if (unreserved) {
      encoded.push_back(c);
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    encoded.push_back('%');
    encoded.push_back(kHex[byte >> 4]);
    encoded.push_back(kHex[byte & 15]);
  }
  return encoded;
}

Result<api::InvokeRequest> route_actor(std::string_view method, std::string_view target) {
  auto [path, query, authority] = split_target(target);
  if (!path.starts_with(kActorsPath))
    return fail(Code::kNotFound, fmt::format("no resource '{}': actors are under {}", excerpt(path), kActorsPath),
                "PLX-HTT-0001");
  auto verb = verb_of(method);
  if (!verb)
    return fail(
        Code::kUnimplemented,
        fmt::format("an actor has no method '{}': GET reads, POST and PUT update, DELETE deletes", excerpt(method)),
        "PLX-HTT-0002");
  Segments segments = split_segments(path.substr(kActorsPath.size()));
  if (segments.count < 2 || segments.count > kSegmentsMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the path has {} segments after {}: write [tenant/]namespace/type?key=... or "
                            "tenant/namespace/type/key[/message]",
                            segments.count > kSegmentsMax ? "more than 5" : "too few", kActorsPath),
                "PLX-HTT-0004");

  PLX_TRY(query_key, key_of_query(query));
  bool short_form = segments.count < 4;
  if (short_form && !query_key)
    return fail(
        Code::kInvalidArgument,
        "the path names no actor: add ?key=... or write tenant/namespace/type/key (2 segments are namespace/type, 3 "
        "are tenant/namespace/type)",
        "PLX-HTT-0004");
  if (!short_form && query_key)
    return fail(Code::kInvalidArgument, "the key is in the path and in the query: name one", "PLX-HTT-0006");

  auto part = segments.parts.begin();
  std::string tenant(kDefaultTenant);
  if (segments.count > 2) {
    PLX_TRY(decoded, percent_decode("tenant", *part++));
    tenant = std::move(decoded);
  }
  PLX_TRY(name_space, percent_decode("namespace", *part++));
  PLX_TRY(type, percent_decode("type", *part++));
  PLX_TRY(key, percent_decode("key", short_form ? *query_key : *part++));
  PLX_TRY(actor, ActorKey::make(std::move(tenant), std::move(name_space), std::move(type), std::move(key)));

  api::InvokeRequest request;
  request.verb = *verb;
  request.target = std::move(actor);
  if (segments.count == kSegmentsMax) {
    PLX_TRY(message, percent_decode("message", *part));
    if (message.empty())
      return fail(Code::kInvalidArgument, "the message is empty: name one or drop the '/' at the end", "PLX-HTT-0004");
    if (message.size() > kNameBytesMax)
      return fail(Code::kInvalidArgument,
                  fmt::format("the message's name has {} bytes; the limit is {}", message.size(), kNameBytesMax),
                  "PLX-HTT-0004");
    if (*verb == api::Verb::kDelete)
      return fail(Code::kInvalidArgument, "DELETE deletes the whole actor and takes no message: drop the last segment",
                  "PLX-HTT-0004");
    request.message = std::move(message);
  }
  return request;
}

std::string actor_path(const ActorKey& key, std::string_view message) {
  std::string path(kActorsPath);
  path += percent_encode(key.tenant) + '/' + percent_encode(key.name_space) + '/' + percent_encode(key.type) + '/' +
          percent_encode(key.key);
  if (!message.empty()) path += '/' + percent_encode(message);
  return path;
}

}  // namespace plexspaces::http
