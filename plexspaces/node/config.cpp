#include "plexspaces/node/config.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "plexspaces/base/suggest.hpp"

namespace plexspaces::node {

namespace {

constexpr std::string_view kVariablePrefix = "PLEXSPACES_";
constexpr std::size_t kFileDepthMax = 8;
constexpr std::size_t kShownBytesMax = 100;  // of a value or an unknown key, in an error

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr Unit kByteUnits[] = {{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
constexpr Unit kTimeUnits[] = {{"ns", 1},
                               {"us", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"min", 60'000'000'000},
                               {"h", 3'600'000'000'000}};
constexpr Unit kCountUnits[] = {{"", 1}};

std::span<const Unit> units_of(ValueType type) {
  switch (type) {
    case ValueType::kBytes:
      return kByteUnits;
    case ValueType::kDuration:
      return kTimeUnits;
    default:
      return kCountUnits;
  }
}

std::string_view expected(ValueType type) {
  switch (type) {
    case ValueType::kText:
      return "a text";
    case ValueType::kCount:
      return "a whole number";
    case ValueType::kBytes:
      return "a size such as 65536, 64KiB or 1MiB";
    case ValueType::kDuration:
      return "a time such as 250ms, 30s, 5min or 1h";
  }
  return "";
}

// A number as a user would write it: in the largest unit that divides it.
std::string write_number(ValueType type, std::int64_t number) {
  if (type == ValueType::kCount || number == 0) return std::to_string(number);
  const Unit* best = nullptr;
  for (const Unit& unit : units_of(type))
    if (!unit.name.empty() && number % unit.factor == 0) best = &unit;
  return fmt::format("{}{}", number / best->factor, best->name);
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const ConfigKey& key : config_keys()) names.push_back(key.name);
  return names;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// As much of a user's text as a message has room for, in one line.
std::string shown(std::string_view text) {
  std::string line(text.substr(0, kShownBytesMax));
  std::ranges::replace_if(line, is_control, '?');
  return text.size() > kShownBytesMax ? line + "..." : line;
}

bool is_section(std::string_view path) {
  return std::ranges::any_of(config_keys(), [&](const ConfigKey& key) {
    return key.name.size() > path.size() && key.name.starts_with(path) && key.name[path.size()] == '.';
  });
}

// "http.port" <-> "PLEXSPACES_HTTP__PORT"
std::string variable_of(std::string_view key) {
  std::string name(kVariablePrefix);
  for (char c : key) {
    if (c == '.')
      name += "__";
    else
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
  }
  return name;
}

class Merger {
 public:
  Merger() {
    for (const ConfigKey& key : config_keys())
      loaded_.values.push_back({.key = key.name, .value = key.default_value, .source = "default"});
  }

  Status set(const std::string& name, std::string value, std::string source) {
    auto keys = config_keys();
    auto key = std::ranges::find(keys, name, &ConfigKey::name);
    if (key == keys.end())
      return fail(Code::kInvalidArgument,
                  fmt::format("{}: unknown key '{}'{}", source, shown(name), suggest(name, key_names())),
                  "PLX-CFG-0002");
    ConfigValue& slot = loaded_.values[static_cast<std::size_t>(key - keys.begin())];
    slot.value = std::move(value);
    slot.source = std::move(source);
    return apply(*key, slot);
  }

  Result<LoadedConfig> finish() {
    auto keys = config_keys();
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (loaded_.values[i].source == "default") PLX_TRY_STATUS(apply(keys[i], loaded_.values[i]));
    return std::move(loaded_);
  }

 private:
  Status apply(const ConfigKey& key, const ConfigValue& value) {
    auto wrong = [&](const std::string& what) {
      return fail(Code::kInvalidArgument,
                  fmt::format("{}: {} = '{}' is {}", value.source, key.name, shown(value.value), what), "PLX-CFG-0003");
    };
    if (key.type == ValueType::kText) {
      auto length = static_cast<std::int64_t>(value.value.size());
      if (length < key.min) return wrong("empty: give it a text");
      if (length > key.max) return too_long(key, value);
      if (std::ranges::any_of(value.value, is_control)) return wrong("not a text: it has a control character");
      if (key.wrong != nullptr)
        if (std::string what = key.wrong(value.value); !what.empty()) return wrong(what);
      key.set(loaded_.config, value.value, 0);
      return {};
    }
    auto number = parse_number(key.type, value.value);
    if (!number) return wrong(fmt::format("not {}", expected(key.type)));
    if (*number < key.min || *number > key.max)
      return wrong(fmt::format("out of range: it must be from {} to {}", write_number(key.type, key.min),
                               write_number(key.type, key.max)));
    key.set(loaded_.config, value.value, *number);
    return {};
  }

  // Without the value: it may be as long as the file.
  static Status too_long(const ConfigKey& key, const ConfigValue& value) {
    return fail(Code::kInvalidArgument,
                fmt::format("{}: {} is too long, {} bytes: it may have {}", value.source, key.name, value.value.size(),
                            key.max),
                "PLX-CFG-0003");
  }

  LoadedConfig loaded_;
};

std::string place_of(const std::string& file, const YAML::Node& node) {
  return fmt::format("{}:{}", file, node.Mark().line + 1);
}

Status merge_node(Merger& merger, const std::string& file, const std::string& path, const YAML::Node& node,
                  std::size_t depth, std::vector<std::string>& seen) {
  if (node.IsNull()) return {};  // `http:` with nothing under it
  if (node.IsMap() && depth < kFileDepthMax) {
    for (const auto& entry : node) {
      if (!entry.first.IsScalar())
        return fail(Code::kInvalidArgument, fmt::format("{}: a key is not a text", place_of(file, entry.first)),
                    "PLX-CFG-0001");
      std::string key = path.empty() ? entry.first.Scalar() : path + "." + entry.first.Scalar();
      if (entry.second.IsNull() && !is_section(key))
        PLX_TRY_STATUS(merger.set(key, "", place_of(file, entry.first)));  // which says what is wrong
      PLX_TRY_STATUS(merge_node(merger, file, key, entry.second, depth + 1, seen));
    }
    return {};
  }
  if (!node.IsScalar() || path.empty())
    return fail(Code::kInvalidArgument,
                fmt::format("{}: {} must be a single value; a file is sections of keys, such as `http: {{port: 8080}}`",
                            place_of(file, node), path.empty() ? "the file's content" : "'" + path + "'"),
                "PLX-CFG-0001");
  if (std::ranges::find(seen, path) != seen.end())
    return fail(Code::kInvalidArgument,
                fmt::format("{}: the key '{}' comes twice in the file: keep one", place_of(file, node), path),
                "PLX-CFG-0001");
  seen.push_back(path);
  return merger.set(path, node.Scalar(), place_of(file, node));
}

Status merge_file(Merger& merger, const std::string& file, const std::string& text) {
  try {
    std::vector<std::string> seen;
    bool found = false;
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      if (document.IsNull()) continue;
      if (std::exchange(found, true))
        return fail(Code::kInvalidArgument,
                    fmt::format("{}: a second YAML document, after a line `---`: keep one", place_of(file, document)),
                    "PLX-CFG-0001");
      PLX_TRY_STATUS(merge_node(merger, file, "", document, 0, seen));
    }
    return {};
  } catch (const YAML::Exception& e) {
    return fail(Code::kInvalidArgument, fmt::format("{}:{}: not YAML: {}", file, e.mark.line + 1, e.msg),
                "PLX-CFG-0001");
  }
}

Status merge_variable(Merger& merger, const std::string& name, const std::string& value) {
  std::vector<std::string> known;
  for (const ConfigKey& key : config_keys()) {
    known.push_back(variable_of(key.name));
    if (known.back() == name) return merger.set(key.name, value, name);
  }
  return fail(Code::kInvalidArgument, fmt::format("environment: unknown variable '{}'{}", name, suggest(name, known)),
              "PLX-CFG-0002");
}

}  // namespace

std::optional<std::int64_t> parse_number(ValueType type, const std::string& text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (suffix.empty() && number == 0) return 0;  // needs no unit
  for (const Unit& unit : units_of(type)) {
    if (suffix != unit.name) continue;
    if (number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  Merger merger;
  if (!sources.file_name.empty()) PLX_TRY_STATUS(merge_file(merger, sources.file_name, sources.file_text));
  for (const auto& [name, value] : sources.environment)
    if (name.starts_with(kVariablePrefix)) PLX_TRY_STATUS(merge_variable(merger, name, value));
  for (const auto& [key, value] : sources.flags) PLX_TRY_STATUS(merger.set(key, value, "--" + key));
  return merger.finish();
}

std::string describe_config() {
  std::string text = "| key | default | range | meaning | environment |\n|---|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    std::string range = key.type == ValueType::kText
                            ? fmt::format("text, up to {} bytes", key.max)
                            : fmt::format("{} to {}", write_number(key.type, key.min), write_number(key.type, key.max));
    text += fmt::format("| `{}` | `{}` | {} | {} | `{}` |\n", key.name, key.default_value, range, key.help,
                        variable_of(key.name));
  }
  return text;
}

}  // namespace plexspaces::node
