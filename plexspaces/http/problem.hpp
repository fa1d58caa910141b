// Errors as RFC 9457 problem documents.
#pragma once

#include <string>
#include <string_view>

#include "plexspaces/base/error.hpp"
#include "plexspaces/http/message.hpp"

namespace plexspaces::http {

/// The status of an error: that of its domain code when the edge tells it apart from its neighbours, else that of its
/// code (http_status()).
int status_of(const Error& error);

/// The error as an answer of type application/problem+json:
///
///     {"type": "docs/errors/PLX-HTT#PLX-HTT-0001", "title": "Not Found", "status": 404, "detail": "...",
///      "code": "NOT_FOUND", "domain": "PLX-HTT-0001", "retry": "never"}
///
/// "detail" is of the error flattened(): with the texts of its causes, at most kErrorTextBytesMax bytes.
/// "retry" is never, same or backoff; for an outcome that is not known it says whether the same request, sent with the
/// same Idempotency-Key, is safe. With a 405 comes Allow, with a 503 or 429 Retry-After.
Response problem(const Error& error);

/// The reason phrase of a status, "Not Found"; "Unknown" for one that this server never sends.
std::string_view reason_phrase(int status);

}  // namespace plexspaces::http
