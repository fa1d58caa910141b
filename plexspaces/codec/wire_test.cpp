#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/test_messages.hpp"

namespace plexspaces {
namespace {

using codec_test::any_everything;
using codec_test::Color;
using codec_test::Everything;
using codec_test::Line;
using codec_test::Tree;

struct Settings {
  std::int32_t attempts = 3;
  std::string greeting = "hello";
  std::vector<std::int32_t> ports{1, 2};
  std::optional<std::int32_t> limit = 5;
  Line line{.sku = "default", .quantity = 9};
};
PLX_MESSAGE(Settings, (1, attempts), (2, greeting), (3, ports), (4, limit), (5, line));

// Settings and Line as a later version of the program knows them.
struct NewLine {
  std::string sku;
  std::int32_t quantity;
  std::int64_t price = 0;
};
PLX_MESSAGE(NewLine, (1, sku), (3, quantity), (4, price));
struct Holder {
  Line line{.sku = "", .quantity = 0};
  std::optional<Line> maybe;
  std::int32_t count = 0;
};
PLX_MESSAGE(Holder, (1, line), (2, maybe), (3, count));
struct NewHolder {
  NewLine line{.sku = "", .quantity = 0};
  std::optional<NewLine> maybe;
  std::int32_t count = 0;
  std::string note;
};
PLX_MESSAGE(NewHolder, (1, line), (2, maybe), (3, count), (4, note));

template <class T>
std::string error_code_of(std::string_view bytes) {
  Result<T> result = decode<T>(bytes);
  return result ? "no error" : result.error().domain();
}

template <class T>
std::string message_of(std::string_view bytes) {
  Result<T> result = decode<T>(bytes);
  return result ? "no error" : result.error().message();
}

using namespace std::string_literals;

RC_GTEST_PROP(WireTest, AValueComesBackFromItsBytes, ()) {
  Everything value = *any_everything();
  std::string bytes = encode(value);
  Result<Everything> decoded = decode<Everything>(bytes);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(encode(*decoded) == bytes);
  RC_ASSERT(decoded->text == value.text && decoded->flags == value.flags && decoded->lines == value.lines);
  RC_ASSERT(decoded->maybe_line == value.maybe_line && decoded->octets == value.octets);
}

// Whatever the bytes: an error, or a value that has bytes of its own which mean the same.
void expect_error_or_value(const std::string& bytes) {
  std::string unknown;
  Everything value{};
  if (!decode(value_type_of<Everything>(), bytes, &value, &unknown)) return;
  std::string again;
  RC_ASSERT(encode(value_type_of<Everything>(), &value, again, unknown).has_value());
  std::string unknown_again;
  Everything same{};
  RC_ASSERT(decode(value_type_of<Everything>(), again, &same, &unknown_again).has_value());
  RC_ASSERT(encode(same) == encode(value));
  RC_ASSERT(unknown == unknown_again);
}

RC_GTEST_PROP(WireTest, EveryTruncationIsAnErrorOrAValue, ()) {
  std::string bytes = encode(*rc::gen::scale(0.3, any_everything()));
  for (std::size_t length = 0; length < bytes.size(); ++length) expect_error_or_value(bytes.substr(0, length));
}

RC_GTEST_PROP(WireTest, EveryChangedByteIsAnErrorOrAValue, ()) {
  std::string bytes = encode(*rc::gen::scale(0.3, any_everything()));
  auto mask = *rc::gen::inRange(1, 256);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ mask);
    expect_error_or_value(changed);
  }
}

TEST(WireTest, ScalarsAreWrittenAsProtobufDoes) {
  EXPECT_EQ(encode(Line{.sku = "ab", .quantity = 300}), "\x0a\x02"s + "ab" + "\x18\xac\x02");
  EXPECT_EQ(encode(Line{.sku = "", .quantity = -1}), "\x0a\x00\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
}

TEST(WireTest, AValueThatIsNoStructIsFieldOneOfItsOwnMessage) {
  EXPECT_EQ(encode(std::int64_t{5}), "\x08\x05");
  EXPECT_EQ(encode("hi"s), "\x0a\x02hi");
  EXPECT_EQ(encode(Color::kGreen), "\x08\x02");
  EXPECT_EQ(encode(std::vector<std::int32_t>{1, 2}), "\x0a\x02\x01\x02");
  EXPECT_EQ(encode(std::optional<bool>{}), "");
  EXPECT_EQ(decode<std::int64_t>("\x08\x05"), 5);
  EXPECT_EQ(decode<std::vector<std::int32_t>>("\x08\x07\x0a\x02\x01\x02"), (std::vector<std::int32_t>{7, 1, 2}));
  EXPECT_EQ(decode<std::optional<bool>>("").value(), std::nullopt);
  EXPECT_EQ(decode<std::vector<Line>>(encode(std::vector<Line>{{"a", 1}, {"b", 2}})),
            (std::vector<Line>{{"a", 1}, {"b", 2}}));
  std::string out;
  EXPECT_TRUE(encode(value_type_of<void>(), nullptr, out).has_value());
  EXPECT_EQ(out, "");
  EXPECT_TRUE(decode(value_type_of<void>(), "", nullptr).has_value());
  EXPECT_EQ(error_code_of<std::int64_t>(""), kErrorMissingField);
}

TEST(WireTest, AFieldThatIsAbsentKeepsItsDefaultAndAListIsEmpty) {
  Result<Settings> settings = decode<Settings>("");
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->attempts, 3);
  EXPECT_EQ(settings->greeting, "hello");
  EXPECT_TRUE(settings->ports.empty());
  EXPECT_EQ(settings->limit, std::nullopt);
  EXPECT_EQ(settings->line.sku, "default");
}

TEST(WireTest, AnEmptyValueIsNotTheDefault) {
  Result<Settings> settings =
      decode<Settings>(encode(Settings{.attempts = 0, .greeting = "", .ports = {}, .limit = {}, .line = {"", 0}}));
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->attempts, 0);
  EXPECT_EQ(settings->greeting, "");
  EXPECT_TRUE(settings->ports.empty());
  EXPECT_EQ(settings->limit, std::nullopt);
  EXPECT_EQ(settings->line.sku, "");
}

TEST(WireTest, APresentStructHasItsOwnDefaultsInside) {
  Result<Settings> settings = decode<Settings>("\x2a\x02\x18\x04");
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->line, (Line{.sku = "", .quantity = 4}));
}

TEST(WireTest, UnknownFieldsAreWrittenBack) {
  NewHolder written{.line = {"a", 1, 100}, .maybe = NewLine{"b", 2, 200}, .count = 3, .note = "kept"};
  Holder old;
  std::string unknown;
  ASSERT_TRUE(decode(value_type_of<Holder>(), encode(written), &old, &unknown).has_value());
  old.line.quantity = 10;
  old.maybe->quantity = 20;
  std::string bytes;
  ASSERT_TRUE(encode(value_type_of<Holder>(), &old, bytes, unknown).has_value());
  Result<NewHolder> read = decode<NewHolder>(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->note, "kept");
  EXPECT_EQ(read->line.price, 100);
  EXPECT_EQ(read->line.quantity, 10);
  EXPECT_EQ(read->maybe->price, 200);
  EXPECT_EQ(read->maybe->quantity, 20);
  // Appending them is the same, by protobuf's merge rule.
  EXPECT_EQ(encode(*decode<NewHolder>(encode(old) + unknown)), encode(*read));
}

TEST(WireTest, UnknownFieldsOfAnAbsentStructGoWithIt) {
  NewHolder written{.line = {"a", 1, 100}, .maybe = NewLine{"b", 2, 200}, .count = 3, .note = "kept"};
  Holder old;
  std::string unknown;
  ASSERT_TRUE(decode(value_type_of<Holder>(), encode(written), &old, &unknown).has_value());
  old.maybe.reset();
  std::string bytes;
  ASSERT_TRUE(encode(value_type_of<Holder>(), &old, bytes, unknown).has_value());
  Result<NewHolder> read = decode<NewHolder>(bytes);
  ASSERT_TRUE(read.has_value()) << read.error().to_string();
  EXPECT_FALSE(read->maybe.has_value());
  EXPECT_EQ(read->note, "kept");
}

TEST(WireTest, ErrorsNameCodeTypeAndPath) {
  EXPECT_EQ(error_code_of<Line>("\x18"), kErrorTruncated);
  EXPECT_EQ(message_of<Line>("\x18"), "Line.quantity: the bytes end inside a field");
  EXPECT_EQ(error_code_of<Line>("\x0a\x05"
                                "ab"),
            kErrorTruncated);
  EXPECT_EQ(error_code_of<Line>("\x18" + std::string(10, '\xff')), kErrorOverlongVarint);
  EXPECT_EQ(error_code_of<Line>("\x18" + std::string(9, '\x80') + "\x02"), kErrorOverlongVarint);
  EXPECT_EQ(error_code_of<Line>("\x1a\x01"
                                "a"),
            kErrorWrongWireType);
  EXPECT_EQ(error_code_of<Line>("\x02\x00"s), kErrorBadTag);
  EXPECT_EQ(error_code_of<Line>("\x23"), kErrorBadTag);
  EXPECT_EQ(error_code_of<Line>("\x0a\x02\xc3\x28\x18\x01"), kErrorInvalidUtf8);
  EXPECT_EQ(error_code_of<Line>("\x18\x80\x80\x80\x80\x08"), kErrorOutOfRange);
  EXPECT_EQ(error_code_of<bool>("\x08\x02"), kErrorOutOfRange);
  EXPECT_EQ(error_code_of<std::uint32_t>("\x08\x80\x80\x80\x80\x10"), kErrorOutOfRange);
  EXPECT_EQ(error_code_of<Color>("\x08\x03"), kErrorUnknownEnumValue);
  EXPECT_EQ(message_of<Color>("\x08\x03"), "Color: 3 is no number of Color");
  EXPECT_EQ(error_code_of<Line>("\x0a\x00"s), kErrorMissingField);
  EXPECT_EQ(message_of<Line>("\x0a\x00"s), "Line.quantity: missing; field 3 of Line has no default");
  EXPECT_EQ(error_code_of<double>("\x09\x00"s), kErrorTruncated);
  EXPECT_EQ(error_code_of<Line>(std::string(kPayloadBytesMax + 1, '\0')), kErrorTooLarge);

  std::string lines = encode(std::vector<Line>{{"a", 1}, {"b", 2}}) + "\x0a\x02\x18\x80";
  EXPECT_EQ(message_of<std::vector<Line>>(lines), "list<Line>[2].quantity: the bytes end inside a field");
}

TEST(WireTest, NestingHasALimitForReaderAndWriter) {
  auto nested = [](std::size_t depth) {
    Tree tree;
    for (std::size_t i = 0; i < depth; ++i) {
      Tree outer;
      outer.children.push_back(std::move(tree));
      tree = std::move(outer);
    }
    return tree;
  };
  Tree deepest = nested(kNestingMax);
  EXPECT_TRUE(decode<Tree>(encode(deepest)).has_value());
  Tree deeper = nested(kNestingMax + 1);
  std::string out = "before";
  Status status = encode(value_type_of<Tree>(), &deeper, out);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().domain(), kErrorTooDeep);
  EXPECT_EQ(out, "before");

  std::string bytes;
  for (std::size_t i = 0; i < kNestingMax + 1; ++i) {
    std::string length;
    for (std::size_t rest = bytes.size();; rest >>= 7) {
      length += static_cast<char>((rest & 0x7f) | (rest >= 0x80 ? 0x80 : 0));
      if (rest < 0x80) break;
    }
    bytes = "\x12" + length + bytes;
  }
  EXPECT_EQ(error_code_of<Tree>(bytes), kErrorTooDeep);
}

TEST(WireTest, WhatCouldNotBeReadIsNotWritten) {
  auto error_of = [](const auto& value) {
    std::string out;
    Status status = encode(value_type_of<std::remove_cvref_t<decltype(value)>>(), &value, out);
    EXPECT_EQ(out, "");
    return status ? "no error" : std::string(status.error().domain());
  };
  EXPECT_EQ(error_of(Line{.sku = "\xff", .quantity = 1}), kErrorInvalidUtf8);
  EXPECT_EQ(error_of(std::vector<std::string>{"ok", "\xc0\x80"}), kErrorInvalidUtf8);
  EXPECT_EQ(error_of(static_cast<Color>(9)), kErrorUnknownEnumValue);
  EXPECT_EQ(error_of(Bytes{std::string(kPayloadBytesMax, 'x')}), kErrorTooLarge);
  EXPECT_EQ(encode(Bytes{"\xff"}), "\x0a\x01\xff");
}

TEST(WireTest, AStructGivenTwiceIsMerged) {
  std::string twice =
      "\x0a\x05\x0a\x01"
      "a"
      "\x18\x01"
      "\x0a\x03\x0a\x01"
      "b"
      "\x12\x02\x18\x07"
      "\x12\x03\x0a\x01"
      "c";
  Result<Holder> holder = decode<Holder>(twice);
  ASSERT_TRUE(holder.has_value()) << holder.error().to_string();
  EXPECT_EQ(holder->line, (Line{.sku = "b", .quantity = 1}));
  EXPECT_EQ(holder->maybe, (Line{.sku = "c", .quantity = 7}));
}

}  // namespace
}  // namespace plexspaces
