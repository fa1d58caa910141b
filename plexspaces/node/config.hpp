// What a node is told before it starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "plexspaces/base/error.hpp"
#include "plexspaces/env/time.hpp"

namespace plexspaces::node {

/// The configuration of a node. Its fields are the keys of config_keys(), which also has their defaults: a Config comes
/// from load_config(), which sets every field.
struct Config {
  struct Node {
    std::string name;
    Duration stop_timeout{};
  } node;
  struct Http {
    std::string address;
    std::uint16_t port = 0;
    std::string allowed_hosts;
    std::size_t body_bytes_max = 0;
    std::size_t connections_max = 0;
    Duration request_timeout{};
    Duration idle_timeout{};
  } http;
  struct Data {
    std::string directory;
  } data;
  struct Runtime {
    std::size_t workers = 0;
    std::uint32_t mailbox_messages_max = 0;
    std::size_t blocking_threads = 0;
    std::size_t blocking_queue_max = 0;
    Duration slow_handler_after{};
  } runtime;
};

enum class ValueType { kText, kCount, kBytes, kDuration };

/// One key of the schema. The table in config_keys.cpp is the only place that declares it.
struct ConfigKey {
  std::string name;  // "http.port"
  ValueType type;
  std::string default_value;  // as a user writes it
  std::int64_t min = 0;       // of a count, bytes, or a duration in nanoseconds; of a text: its length
  std::int64_t max = 0;
  std::string help;
  void (*set)(Config& config, const std::string& text,
              std::int64_t number);  // the number when it is one, else the text
  // Of a text that is more than a text: what is wrong with it, or nothing. All are without control characters.
  std::string (*wrong)(const std::string& text) = nullptr;
};
std::span<const ConfigKey> config_keys();

/// Where values come from, later ones over earlier ones.
struct ConfigSources {
  std::string file_name;                                         // for messages; empty: no file
  std::string file_text;                                         // YAML
  std::vector<std::pair<std::string, std::string>> environment;  // all variables; those named PLEXSPACES_... count
  std::vector<std::pair<std::string, std::string>> flags;        // "http.port", "8081"
};

/// A value and who said it.
struct ConfigValue {
  std::string key;
  std::string value;
  std::string source;  // "default", "plexspaces.yaml:3", "PLEXSPACES_HTTP__PORT", "--http.port"
};

struct LoadedConfig {
  Config config;
  std::vector<ConfigValue> values;  // one for each key, in the order of config_keys()
};

/// Merges the sources key by key. Pure.
/// @error kInvalidArgument: PLX-CFG-0001 the file is not YAML or has another shape; PLX-CFG-0002 an unknown key, with
/// the nearest known one; PLX-CFG-0003 a value of the wrong type or out of range. Each names key, value and source.
Result<LoadedConfig> load_config(const ConfigSources& sources);

/// The schema as a table in Markdown, for the reference in docs/.
std::string describe_config();

/// "16KiB", "1048576" to bytes; "30s", "250ms", "5min", "1h" to nanoseconds; "8080" to a count.
/// @returns nothing when `text` is not of the type.
std::optional<std::int64_t> parse_number(ValueType type, const std::string& text);

}  // namespace plexspaces::node
