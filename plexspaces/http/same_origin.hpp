// Which pages in a browser may speak to this server: its own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/http/message.hpp"

namespace plexspaces::http {

/// Reads the names by which a server is known besides those of loopback: "plex.example, devbox:8080".
/// @returns each, a name or a name and a port.
/// @error kInvalidArgument, PLX-HTT-0023: an entry is not one; it is named.
Result<std::vector<std::string>> parse_allowed_hosts(std::string_view text);

/// Whether a request may come from where it does. Any page that a browser shows can send requests to loopback; its user
/// knows nothing of it. A page can choose neither the fields that tell it apart, nor the target's authority.
///
///  - Host, and the authority in the target if there is one, are localhost, an address of 127.0.0.0/8, [::1], each with
///    any port, or one of `allowed_hosts` (without a port: with any). A page whose own name was made to resolve to
///    loopback (DNS rebinding) comes with that name.
///  - Origin, if sent, is this Host over http or https, or one of `allowed_hosts`.
///  - Sec-Fetch-Site, if sent, is same-origin, same-site or none.
///
/// Programs that are no browsers send neither Origin nor Sec-Fetch-Site. What a browser sends without both, as old ones
/// do, is stopped by the type that an update must have (PLX-HTT-0013).
/// @error PLX-HTT-0021: another host. PLX-HTT-0022: another origin. Pure.
Status check_same_origin(std::string_view target, const Headers& headers, std::span<const std::string> allowed_hosts);

}  // namespace plexspaces::http
