#include "plexspaces/node/config.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plexspaces::node {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ConfigValue value_of(const LoadedConfig& loaded, const std::string& key) {
  for (const ConfigValue& value : loaded.values)
    if (value.key == key) return value;
  return {};
}

std::string refusal(const ConfigSources& sources) {
  auto loaded = load_config(sources);
  return loaded ? "accepted" : loaded.error().domain() + ": " + loaded.error().message();
}

TEST(ConfigTest, EveryKeyHasADefaultThatItAccepts) {
  auto loaded = load_config({});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->values.size(), config_keys().size());
  EXPECT_EQ(loaded->config.node.name, "node1");
  EXPECT_EQ(loaded->config.http.address, "127.0.0.1");
  EXPECT_EQ(loaded->config.http.port, 8080);
  EXPECT_EQ(loaded->config.http.body_bytes_max, 1u << 20);
  EXPECT_EQ(loaded->config.http.request_timeout, 30s);
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys())
    EXPECT_TRUE(names.insert(key.name).second) << key.name << " is declared twice";
}

TEST(ConfigTest, EveryKeyIsSetByEachSource) {
  for (const ConfigKey& key : config_keys()) {
    const std::string text = key.type == ValueType::kDuration ? "7s" : "7";
    std::string variable = "PLEXSPACES_";
    for (char c : key.name)
      variable += c == '.' ? std::string("__") : std::string(1, static_cast<char>(std::toupper(c)));
    const std::size_t dot = key.name.find('.');
    const std::string yaml = key.name.substr(0, dot) + ":\n  " + key.name.substr(dot + 1) + ": " + text + "\n";
    for (const ConfigSources& sources :
         {ConfigSources{.file_name = "f.yaml", .file_text = yaml}, ConfigSources{.environment = {{variable, text}}},
          ConfigSources{.flags = {{key.name, text}}}}) {
      auto loaded = load_config(sources);
      ASSERT_TRUE(loaded) << loaded.error().to_string();
      EXPECT_EQ(value_of(*loaded, key.name).value, text);
      EXPECT_NE(value_of(*loaded, key.name).source, "default");
    }
  }
}

TEST(ConfigTest, LaterSourcesWinKeyByKey) {
  auto loaded = load_config(
      {.file_name = "plexspaces.yaml",
       .file_text = "http:\n  port: 1001\n  address: 0.0.0.0\n  connections_max: 5\n",
       .environment = {{"PATH", "/bin"}, {"PLEXSPACES_HTTP__PORT", "1002"}, {"PLEXSPACES_HTTP__CONNECTIONS_MAX", "6"}},
       .flags = {{"http.port", "1003"}}});
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->config.http.port, 1003);
  EXPECT_EQ(loaded->config.http.connections_max, 6u);
  EXPECT_EQ(loaded->config.http.address, "0.0.0.0");
  EXPECT_EQ(value_of(*loaded, "http.port").source, "--http.port");
  EXPECT_EQ(value_of(*loaded, "http.connections_max").source, "PLEXSPACES_HTTP__CONNECTIONS_MAX");
  EXPECT_EQ(value_of(*loaded, "http.address").source, "plexspaces.yaml:3");
  EXPECT_EQ(value_of(*loaded, "node.name").source, "default");
}

TEST(ConfigTest, AnUnknownKeyIsRefusedWithItsSourceAndTheNearestKey) {
  EXPECT_THAT(
      refusal({.file_name = "f.yaml", .file_text = "\nhttp:\n  prot: 1\n"}),
      AllOf(HasSubstr("PLX-CFG-0002"), HasSubstr("f.yaml:3"), HasSubstr("'http.prot'"), HasSubstr("'http.port'")));
  EXPECT_THAT(
      refusal({.environment = {{"PLEXSPACES_HTTP_PORT", "1"}}}),
      AllOf(HasSubstr("PLX-CFG-0002"), HasSubstr("'PLEXSPACES_HTTP_PORT'"), HasSubstr("'PLEXSPACES_HTTP__PORT'")));
  EXPECT_THAT(refusal({.flags = {{"http.potr", "1"}}}), AllOf(HasSubstr("--http.potr"), HasSubstr("'http.port'")));
}

TEST(ConfigTest, AWrongValueIsRefusedWithKeyValueAndSource) {
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http: {port: eighty}"}),
              AllOf(HasSubstr("PLX-CFG-0003"), HasSubstr("f.yaml:1"), HasSubstr("http.port = 'eighty'"),
                    HasSubstr("whole number")));
  EXPECT_THAT(refusal({.flags = {{"http.port", "65536"}}}),
              AllOf(HasSubstr("--http.port"), HasSubstr("from 0 to 65535")));
  EXPECT_THAT(refusal({.flags = {{"http.port", "-1"}}}), HasSubstr("whole number"));
  EXPECT_THAT(refusal({.flags = {{"http.body_bytes_max", "2MiB"}}}), HasSubstr("from 1B to 1MiB"));
  EXPECT_THAT(refusal({.environment = {{"PLEXSPACES_HTTP__REQUEST_TIMEOUT", "30"}}}), HasSubstr("250ms, 30s"));
  EXPECT_THAT(refusal({.flags = {{"node.name", ""}}}), HasSubstr("empty"));
  EXPECT_THAT(refusal({.flags = {{"node.name", std::string(257, 'n')}}}), HasSubstr("too long"));
}

TEST(ConfigTest, AFileThatIsNotSectionsOfKeysIsRefused) {
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http:\n  port: [1]\n"}),
              HasSubstr("'http.port' must be a single value"));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "just text"}), HasSubstr("PLX-CFG-0001"));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http: {port: 1"}), HasSubstr("not YAML"));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http:\n  port: 1\n  port: 2\n"}), HasSubstr("comes twice"));
  EXPECT_EQ(refusal({.file_name = "f.yaml", .file_text = ""}), "accepted");
  EXPECT_EQ(refusal({.file_name = "f.yaml", .file_text = "http:\n"}), "accepted");
}

TEST(ConfigTest, AKeyWithoutAValueIsNotPassedOver) {
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http:\n  prot:\n"}),
              AllOf(HasSubstr("PLX-CFG-0002"), HasSubstr("f.yaml:2"), HasSubstr("'http.port'")));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "htpp:\n"}), HasSubstr("unknown key 'htpp'"));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http:\n  port:\n"}), HasSubstr("http.port = ''"));
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "node:\n  name: ~\n"}), HasSubstr("empty"));
}

TEST(ConfigTest, ASecondDocumentIsRefused) {
  EXPECT_THAT(refusal({.file_name = "f.yaml", .file_text = "http:\n  port: 1\n---\nhttp:\n  prot: 2\n"}),
              AllOf(HasSubstr("PLX-CFG-0001"), HasSubstr("f.yaml:4"), HasSubstr("second YAML document")));
  for (const std::string one :
       {"---\nhttp: {port: 1}\n", "http: {port: 1}\n...\n", "---\n---\nhttp: {port: 1}\n---\n"}) {
    auto loaded = load_config({.file_name = "f.yaml", .file_text = one});
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    EXPECT_EQ(loaded->config.http.port, 1);
  }
}

TEST(ConfigTest, ANameIsOneThatCanStandBehindAnAt) {
  for (const std::string name : {"a@b", "a/b", "a b", "n\n", "n\t", "\x7f", "knöt"})
    EXPECT_THAT(refusal({.flags = {{"node.name", name}}}), HasSubstr("PLX-CFG-0003")) << name;
  EXPECT_EQ(refusal({.flags = {{"node.name", "Node-1.eu_west"}}}), "accepted");
  EXPECT_THAT(refusal({.flags = {{"data.directory", std::string("a\0b", 3)}}}), HasSubstr("control character"));
  std::string long_name(100'000, 'n');
  for (const std::string& key : {std::string("node.name"), std::string("http.port"), long_name}) {
    std::string refused = refusal({.flags = {{key, long_name}}});
    EXPECT_THAT(refused, HasSubstr("PLX-CFG-000"));
    EXPECT_LT(refused.size(), key == long_name ? 101'000u : 1'000u) << "a message does not repeat what is too long";
  }
}

TEST(ConfigTest, AStopHasATime) {
  EXPECT_THAT(refusal({.flags = {{"node.stop_timeout", "0"}}}), HasSubstr("from 1ms to 1h"));
}

TEST(ConfigTest, NumbersHaveUnits) {
  EXPECT_EQ(parse_number(ValueType::kBytes, "64KiB"), 65536);
  EXPECT_EQ(parse_number(ValueType::kBytes, "65536"), 65536);
  EXPECT_EQ(parse_number(ValueType::kDuration, "250ms"), 250'000'000);
  EXPECT_EQ(parse_number(ValueType::kDuration, "0"), 0);
  EXPECT_EQ(parse_number(ValueType::kDuration, "5"), std::nullopt);  // of what?
  EXPECT_EQ(parse_number(ValueType::kBytes, "64KB"), std::nullopt);
  EXPECT_EQ(parse_number(ValueType::kBytes, "9223372036854775807GiB"), std::nullopt);
  EXPECT_EQ(parse_number(ValueType::kCount, "99999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_number(ValueType::kCount, "1.5"), std::nullopt);
  EXPECT_EQ(parse_number(ValueType::kCount, ""), std::nullopt);
}

TEST(ConfigTest, TheReferenceHasEveryKey) {
  for (const ConfigKey& key : config_keys())
    EXPECT_THAT(describe_config(), HasSubstr("| `" + key.name + "` | `" + key.default_value));
}

TEST(ConfigTest, TheReferenceInTheDocsIsUpToDate) {
  std::ifstream file(PLX_CONFIG_REFERENCE);
  ASSERT_TRUE(file);
  std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(page, HasSubstr(describe_config()))
      << "put the output of `plexspaces config describe` into docs/configuration.md";
}

}  // namespace
}  // namespace plexspaces::node
