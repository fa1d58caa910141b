// The configuration's schema: every key once.
#include <algorithm>
#include <limits>
#include <string>

#include "plexspaces/base/limits.hpp"
#include "plexspaces/node/config.hpp"

namespace plexspaces::node {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;

using Text = const std::string&;

// The name stands behind an @, in addresses and in file names.
std::string wrong_node_name(Text text) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  };
  if (std::ranges::all_of(text, fits)) return {};
  return "not a node's name: it is made of letters, digits, '.', '-' and '_'";
}

const ConfigKey kKeys[] = {
    {.name = "node.name",
     .type = ValueType::kText,
     .default_value = "node1",
     .min = 1,
     .max = static_cast<std::int64_t>(kNameBytesMax),
     .help = "name of this node, as in counter@node1",
     .set = [](Config& c, Text text, std::int64_t) { c.node.name = text; },
     .wrong = wrong_node_name},
    {.name = "node.stop_timeout",
     .type = ValueType::kDuration,
     .default_value = "10s",
     .min = kMillisecond,
     .max = kHour,
     .help = "how long SIGTERM waits for requests in flight and actors before the process ends all the same",
     .set = [](Config& c, Text, std::int64_t number) { c.node.stop_timeout = Duration(number); }},
    {.name = "http.address",
     .type = ValueType::kText,
     .default_value = "127.0.0.1",
     .min = 1,
     .max = 64,
     .help = "IP address that HTTP listens on",
     .set = [](Config& c, Text text, std::int64_t) { c.http.address = text; }},
    {.name = "http.port",
     .type = ValueType::kCount,
     .default_value = "8080",
     .min = 0,
     .max = 65535,
     .help = "port of HTTP; 0 takes a free one and prints it",
     .set = [](Config& c, Text, std::int64_t number) { c.http.port = static_cast<std::uint16_t>(number); }},
    {.name = "http.allowed_hosts",
     .type = ValueType::kText,
     .default_value = "",
     .min = 0,
     .max = 4096,
     .help =
         "names, with commas between them, by which clients and pages may call this node besides those of loopback: "
         "plex.example or devbox:8080",
     .set = [](Config& c, Text text, std::int64_t) { c.http.allowed_hosts = text; }},
    {.name = "http.body_bytes_max",
     .type = ValueType::kBytes,
     .default_value = "1MiB",
     .min = 1,
     .max = static_cast<std::int64_t>(kPayloadBytesMax),
     .help = "largest body of a request; a larger one is refused with 413",
     .set = [](Config& c, Text, std::int64_t number) { c.http.body_bytes_max = static_cast<std::size_t>(number); }},
    {.name = "http.connections_max",
     .type = ValueType::kCount,
     .default_value = "1024",
     .min = 1,
     .max = 1'000'000,
     .help = "connections served at once; further ones are refused with 503",
     .set = [](Config& c, Text, std::int64_t number) { c.http.connections_max = static_cast<std::size_t>(number); }},
    {.name = "http.request_timeout",
     .type = ValueType::kDuration,
     .default_value = "30s",
     .min = kMillisecond,
     .max = kHour,
     .help =
         "longest that a request waits for its answer before it gets 504; its header Request-Timeout may ask for less",
     .set = [](Config& c, Text, std::int64_t number) { c.http.request_timeout = Duration(number); }},
    {.name = "http.idle_timeout",
     .type = ValueType::kDuration,
     .default_value = "60s",
     .min = kSecond,
     .max = kHour,
     .help = "how long a connection may stay open without a request",
     .set = [](Config& c, Text, std::int64_t number) { c.http.idle_timeout = Duration(number); }},
    {.name = "data.directory",
     .type = ValueType::kText,
     .default_value = "./plexspaces-data",
     .min = 1,
     .max = 4096,
     .help = "folder of the node's data; created when missing; held by one process at a time",
     .set = [](Config& c, Text text, std::int64_t) { c.data.directory = text; }},
    {.name = "runtime.workers",
     .type = ValueType::kCount,
     .default_value = "0",
     .min = 0,
     .max = 1024,
     .help = "threads that run actors; 0 is one for each core",
     .set = [](Config& c, Text, std::int64_t number) { c.runtime.workers = static_cast<std::size_t>(number); }},
    {.name = "runtime.mailbox_messages_max",
     .type = ValueType::kCount,
     .default_value = "65536",
     .min = 1,
     .max = std::numeric_limits<std::int32_t>::max(),
     .help = "messages that wait for one actor; further ones are refused with 429",
     .set = [](Config& c, Text,
               std::int64_t number) { c.runtime.mailbox_messages_max = static_cast<std::uint32_t>(number); }},
    {.name = "runtime.blocking_threads",
     .type = ValueType::kCount,
     .default_value = "16",
     .min = 1,
     .max = 1024,
     .help = "threads that run blocking calls; started when needed",
     .set = [](Config& c, Text,
               std::int64_t number) { c.runtime.blocking_threads = static_cast<std::size_t>(number); }},
    {.name = "runtime.blocking_queue_max",
     .type = ValueType::kCount,
     .default_value = "10000",
     .min = 0,
     .max = 1'000'000,
     .help = "blocking calls that wait for a thread; further ones are refused",
     .set = [](Config& c, Text,
               std::int64_t number) { c.runtime.blocking_queue_max = static_cast<std::size_t>(number); }},
    {.name = "runtime.slow_handler_after",
     .type = ValueType::kDuration,
     .default_value = "100ms",
     .min = 0,
     .max = kHour,
     .help = "how long a handler may hold its worker before the log names it; 0 names none",
     .set = [](Config& c, Text, std::int64_t number) { c.runtime.slow_handler_after = Duration(number); }},
};

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

}  // namespace plexspaces::node
