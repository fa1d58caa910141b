#include "plexspaces/http/same_origin.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "plexspaces/base/utf8.hpp"
#include "plexspaces/http/route.hpp"
#include "plexspaces/http/token.hpp"

namespace plexspaces::http {

namespace {

struct Authority {
  std::string_view name;  // an address of IPv6 with its brackets
  std::string_view port;  // empty: none
};

template <class T>
bool read_number(std::string_view digits, T& number) {
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc{} && end == digits.data() + digits.size();
}

std::optional<Authority> split_authority(std::string_view text) {
  std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return std::nullopt;
  std::size_t colon = text.find(':', bracket);
  Authority authority{.name = text.substr(0, colon), .port = {}};
  if (authority.name.empty()) return std::nullopt;
  if (colon == std::string_view::npos) return authority;
  authority.port = text.substr(colon + 1);
  std::uint16_t number = 0;
  if (!read_number(authority.port, number)) return std::nullopt;
  return authority;
}

// 127.0.0.1 and the others of its network, written in full: "127.evil.example" begins like one.
bool is_loopback_address(std::string_view name) {
  std::array<std::uint8_t, 4> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) {
    std::size_t dot = name.find('.');
    if ((dot == std::string_view::npos) != (i + 1 == octets.size())) return false;
    if (!read_number(name.substr(0, dot), octets[i])) return false;
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return octets[0] == 127;
}

bool is_loopback(std::string_view name) {
  return same_token(name, "localhost") || name == "[::1]" || is_loopback_address(name);
}

bool is_listed(const Authority& authority, std::span<const std::string> hosts) {
  return std::ranges::any_of(hosts, [&](const std::string& host) {
    auto entry = split_authority(host);
    return entry && same_token(entry->name, authority.name) && (entry->port.empty() || entry->port == authority.port);
  });
}

Status check_host(std::string_view host, std::span<const std::string> allowed_hosts) {
  auto authority = split_authority(host);
  if (authority && (is_loopback(authority->name) || is_listed(*authority, allowed_hosts))) return {};
  return fail(Code::kFailedPrecondition,
              fmt::format("the host '{}' is not this server: use localhost or 127.0.0.1, or name it in "
                          "http.allowed_hosts",
                          excerpt(host)),
              "PLX-HTT-0021");
}

Status check_origin(std::string_view origin, const Headers& headers, std::span<const std::string> allowed_hosts) {
  std::size_t scheme = origin.find("://");
  std::string_view authority = scheme == std::string_view::npos ? std::string_view{} : origin.substr(scheme + 3);
  if (origin.substr(0, scheme) == "http" || origin.substr(0, scheme) == "https") {
    if (headers.host && same_token(authority, *headers.host)) return {};
    if (auto parts = split_authority(authority); parts && is_listed(*parts, allowed_hosts)) return {};
  }
  return fail(Code::kPermissionDenied,
              fmt::format("a page of '{}' may not use this server: name its host in http.allowed_hosts to allow it",
                          excerpt(origin)),
              "PLX-HTT-0022");
}

Status check_fetch_site(std::string_view site) {
  if (site == "same-origin" || site == "same-site" || site == "none") return {};
  return fail(Code::kPermissionDenied,
              fmt::format("a browser sends this for a page of another site (Sec-Fetch-Site: {}): that may not use this "
                          "server",
                          excerpt(site)),
              "PLX-HTT-0022");
}

}  // namespace

Result<std::vector<std::string>> parse_allowed_hosts(std::string_view text) {
  constexpr std::string_view kOfNames = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._[]:";
  std::vector<std::string> hosts;
  while (!text.empty()) {
    std::size_t comma = text.find(',');
    std::string_view host = trim(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (!split_authority(host) || host.find_first_not_of(kOfNames) != std::string_view::npos)
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is not the name of a host: write names such as plex.example or devbox:8080, with "
                              "commas between them",
                              excerpt(host)),
                  "PLX-HTT-0023");
    hosts.emplace_back(host);
  }
  return hosts;
}

Status check_same_origin(std::string_view target, const Headers& headers, std::span<const std::string> allowed_hosts) {
  if (headers.host) PLX_TRY_STATUS(check_host(*headers.host, allowed_hosts));
  if (Target split = split_target(target); split.authority) PLX_TRY_STATUS(check_host(*split.authority, allowed_hosts));
  if (headers.origin) PLX_TRY_STATUS(check_origin(*headers.origin, headers, allowed_hosts));
  if (headers.sec_fetch_site) PLX_TRY_STATUS(check_fetch_site(*headers.sec_fetch_site));
  return {};
}

}  // namespace plexspaces::http
