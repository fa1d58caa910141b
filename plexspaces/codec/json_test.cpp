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
using namespace std::string_literals;

struct Options {
  std::int64_t by = 1;
  std::optional<std::string> note;
  std::vector<Line> lines;
  Line first{.sku = "default", .quantity = 1};
};
PLX_MESSAGE(Options, (1, by), (2, note), (3, lines), (4, first));

struct Flags {
  std::vector<bool> bits;
};
PLX_MESSAGE(Flags, (1, bits));

struct Nothing {};
PLX_MESSAGE(Nothing);

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

template <class T>
std::string outcome(std::string_view json) {
  Result<T> result = from_json<T>(json);
  return result ? "no error" : result.error().domain() + " " + result.error().message();
}

RC_GTEST_PROP(JsonTest, AValueComesBackFromItsJson, ()) {
  Everything value = *any_everything();
  std::string json = to_json(value);
  Result<Everything> read = from_json<Everything>(json);
  RC_ASSERT(read.has_value());
  RC_ASSERT(encode(*read) == encode(value));
}

RC_GTEST_PROP(JsonTest, EveryTruncationOfAnObjectIsMalformed, ()) {
  std::string json = to_json(*rc::gen::scale(0.2, any_everything()));
  for (std::size_t length = 1; length < json.size(); ++length) {
    Result<Everything> read = from_json<Everything>(std::string_view(json).substr(0, length));
    RC_ASSERT(!read && read.error().domain() == kErrorMalformedJson);
  }
}

RC_GTEST_PROP(JsonTest, EveryChangedByteIsAnErrorOrAValue, ()) {
  std::string json = to_json(*rc::gen::scale(0.2, any_everything()));
  auto mask = *rc::gen::inRange(1, 128);
  for (std::size_t i = 0; i < json.size(); ++i) {
    std::string changed = json;
    changed[i] = static_cast<char>(changed[i] ^ mask);
    Result<Everything> read = from_json<Everything>(changed);
    if (!read) continue;
    Result<Everything> again = from_json<Everything>(to_json(*read));
    RC_ASSERT(again && encode(*again) == encode(*read));
  }
}

TEST(JsonTest, IsWrittenAsPeopleExpect) {
  EXPECT_EQ(to_json(Line{.sku = "a\"\n\x01\u20ac", .quantity = -3}),
            "{\"sku\":\"a\\\"\\u000a\\u0001\u20ac\",\"quantity\":-3}");
  EXPECT_EQ(to_json(Options{}), R"({"by":1,"lines":[],"first":{"sku":"default","quantity":1}})");
  EXPECT_EQ(to_json(Nothing{}), "{}");
  EXPECT_EQ(to_json(std::int64_t{5}), "5");
  EXPECT_EQ(to_json(std::int64_t{1} << 53), "9007199254740992");
  EXPECT_EQ(to_json((std::int64_t{1} << 53) + 1), "\"9007199254740993\"");
  EXPECT_EQ(to_json(-(std::int64_t{1} << 53)), "-9007199254740992");
  EXPECT_EQ(to_json(-(std::int64_t{1} << 53) - 1), "\"-9007199254740993\"");
  EXPECT_EQ(to_json(std::numeric_limits<std::uint64_t>::max()), "\"18446744073709551615\"");
  EXPECT_EQ(to_json(Color::kGreen), "\"kGreen\"");
  EXPECT_EQ(to_json(0.1), "0.1");
  EXPECT_EQ(to_json(0.1f), "0.1");
  EXPECT_EQ(to_json(-std::numeric_limits<double>::infinity()), "\"-Infinity\"");
  EXPECT_EQ(to_json(std::optional<int>{}), "null");
  EXPECT_EQ(to_json(std::vector<bool>{true, false}), "[true,false]");
  EXPECT_EQ(to_json(value_type_of<void>(), nullptr), "null");
  EXPECT_EQ(to_json("\xff"s), "\"\\ufffd\"");
  // RFC 4648, section 10.
  for (auto [octets, text] :
       {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    EXPECT_EQ(to_json(Bytes{octets}), quoted(text));
    EXPECT_EQ(from_json<Bytes>(quoted(text)), Bytes{octets});
  }
}

TEST(JsonTest, DefaultsStandForWhatIsAbsent) {
  for (std::string_view json : {"", "{}", " { } "}) {
    Result<Options> options = from_json<Options>(json);
    ASSERT_TRUE(options.has_value()) << options.error().to_string();
    EXPECT_EQ(options->by, 1);
    EXPECT_EQ(options->first.sku, "default");
  }
  Result<Options> options = from_json<Options>(R"({"note":null,"first":{"quantity":2}})");
  ASSERT_TRUE(options.has_value());
  EXPECT_EQ(options->note, std::nullopt);
  EXPECT_EQ(options->first, (Line{.sku = "", .quantity = 2}));
  EXPECT_TRUE(from_json<Nothing>("").has_value());
  EXPECT_TRUE(from_json(value_type_of<void>(), "null", nullptr).has_value());
  EXPECT_TRUE(from_json(value_type_of<void>(), "", nullptr).has_value());
}

TEST(JsonTest, IntegersMayBeTextOrWholeNumbers) {
  EXPECT_EQ(from_json<std::int64_t>("5"), 5);
  EXPECT_EQ(from_json<std::int64_t>("\"-5\""), -5);
  EXPECT_EQ(from_json<std::int64_t>("9007199254740993"), 9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(from_json<std::uint64_t>("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(from_json<std::int32_t>("1e3"), 1000);
  EXPECT_EQ(from_json<std::int32_t>("5.0"), 5);
  EXPECT_EQ(from_json<std::uint32_t>("-0"), 0u);
  EXPECT_EQ(from_json<double>("1e-400"), 0.0);
  EXPECT_EQ(from_json<float>("7.038531e-26"), 7.038531e-26f);
}

// A double in between would make 9007199254740992 of it.
TEST(JsonTest, AnIntegerIsExactHoweverItIsWritten) {
  EXPECT_EQ(from_json<std::int64_t>("9007199254740993.0"), 9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("9007199254740993e0"), 9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("900719925474099.3E1"), 9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("90071992547409930e-1"), 9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("-9007199254740993.000"), -9007199254740993);
  EXPECT_EQ(from_json<std::int64_t>("1e17"), 100000000000000000);
  EXPECT_EQ(from_json<std::int64_t>("9223372036854775807.0"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(from_json<std::int64_t>("-9.223372036854775808e18"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(from_json<std::uint64_t>("1844674407370955161.5e1"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(from_json<std::int32_t>("0.00000000000000000000000012e+26"), 12);
  EXPECT_EQ(from_json<std::int32_t>("0e2000000000"), 0);
  EXPECT_EQ(from_json<std::int32_t>("-0.0"), 0);
  EXPECT_EQ(from_json<std::uint32_t>("-0e5"), 0u);
  for (std::string_view beyond :
       {"9223372036854775808.0", "9223372036854775807.0e1", "-9223372036854775809.0", "1e19", "1e2000000000", "-1e400"})
    EXPECT_TRUE(outcome<std::int64_t>(beyond).starts_with(kErrorOutOfRange)) << beyond;
  for (std::string_view fraction :
       {"9007199254740993.1", "1e-1", "9223372036854775807.5", "10e-2", "1e-400", "1e-2000000000", "-0.5"})
    EXPECT_TRUE(outcome<std::int64_t>(fraction).starts_with(kErrorWrongType)) << fraction;
}

RC_GTEST_PROP(JsonTest, ADecimalPointMovesButTheIntegerStays, ()) {
  auto number = *codec_test::any_integer<std::int64_t>();
  std::string text = std::to_string(number);
  std::string sign = text.starts_with('-') ? "-" : "";
  std::string digits = text.substr(sign.size());
  auto places = *rc::gen::inRange<std::size_t>(0, 40);
  std::string padded = digits.size() > places ? digits : std::string(places + 1 - digits.size(), '0') + digits;
  std::string whole = padded.substr(0, padded.size() - places);
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size() - 1));  // JSON has no leading zeros
  std::string moved = sign + whole;
  if (places > 0) moved += "." + padded.substr(padded.size() - places);
  Result<std::int64_t> read = from_json<std::int64_t>(moved + "e" + std::to_string(places));
  RC_ASSERT(read.has_value());
  RC_ASSERT(*read == number);
}

TEST(JsonTest, AnErrorQuotesOnlyTheBeginningOfWhatWasSent) {
  const std::string long_text(1 << 20, 'x');
  const std::string digits(1 << 20, '7');
  const std::string in_quotes = '"' + long_text + '"', digits_in_quotes = '"' + digits + '"';
  for (const std::string& said :
       {outcome<Options>("{" + in_quotes + ":1}"), outcome<Color>(in_quotes), outcome<std::int64_t>(digits),
        outcome<std::int64_t>(digits_in_quotes), outcome<std::int64_t>(digits + ".5"), outcome<float>(digits),
        outcome<double>(digits), outcome<Options>("{" + in_quotes)}) {
    EXPECT_LT(said.size(), 300u) << said.substr(0, 300);
    EXPECT_FALSE(said.starts_with("no error"));
  }
}

TEST(JsonTest, MalformedTextIsToldApartFromJsonThatDoesNotFit) {
  for (std::string_view json : {"{", "{]", "nul", "{\"by\":1}x", "{\"by\":1}{}", "{\"by\":01}", "{\"by\":1,}", "'a'",
                                "{\"by\":\"\xff\"}", "{by:1}", "NaN", "[1 2]", "\"\\x\"", "   "}) {
    EXPECT_TRUE(outcome<Options>(json).starts_with(kErrorMalformedJson)) << json << " " << outcome<Options>(json);
  }
  // Also when something else is wrong before it.
  EXPECT_TRUE(outcome<Options>(R"({"bye":1,"by":})").starts_with(kErrorMalformedJson));
  EXPECT_TRUE(outcome<std::int64_t>("").starts_with(kErrorMalformedJson));
}

TEST(JsonTest, ErrorsNameCodeAndPath) {
  EXPECT_EQ(outcome<Options>(R"({"bye":1})"), "PLX-COD-0002 Options: unknown field 'bye' (did you mean 'by'?)");
  EXPECT_EQ(outcome<Options>(R"({"lines":[{"quantity":1},{"sku":"a"}]})"),
            "PLX-COD-0003 Options.lines[1].quantity: missing; it has no default");
  EXPECT_EQ(outcome<Options>(R"({"by":"x"})"),
            "PLX-COD-0004 Options.by: expected an integer, or one as text, found other text");
  EXPECT_EQ(outcome<Options>(R"({"by":1.5})"),
            "PLX-COD-0004 Options.by: expected an integer, or one as text, found 1.5");
  EXPECT_EQ(outcome<Options>(R"({"by":null})"),
            "PLX-COD-0004 Options.by: expected an integer, or one as text, found null");
  EXPECT_EQ(outcome<Options>(R"({"lines":{}})"), "PLX-COD-0004 Options.lines: expected an array, found an object");
  EXPECT_EQ(outcome<Options>(R"({"lines":[7]})"), "PLX-COD-0004 Options.lines[0]: expected an object, found a number");
  EXPECT_EQ(outcome<Options>("[]"), "PLX-COD-0004 Options: expected an object, found an array");
  EXPECT_EQ(outcome<Options>(R"({"lines":[{"quantity":2147483648}]})"),
            "PLX-COD-0005 Options.lines[0].quantity: 2147483648 is out of range of int32");
  EXPECT_EQ(outcome<Options>(R"({"by":9223372036854775808})"),
            "PLX-COD-0005 Options.by: 9223372036854775808 is out of range of int64");
  EXPECT_EQ(outcome<Options>(R"({"by":"9223372036854775808"})"),
            "PLX-COD-0005 Options.by: 9223372036854775808 is out of range of int64");
  EXPECT_EQ(outcome<std::uint32_t>("-1"), "PLX-COD-0005 uint32: -1 is out of range of uint32");
  EXPECT_EQ(outcome<std::int64_t>("1e30"), "PLX-COD-0005 int64: 1e30 is out of range of int64");
  EXPECT_EQ(outcome<double>("1e400"), "PLX-COD-0005 double: 1e400 is out of range of double");
  EXPECT_EQ(outcome<float>("-1e39"), "PLX-COD-0005 float: -1e39 is out of range of float");
  EXPECT_EQ(outcome<Color>("\"kGren\""), "PLX-COD-0006 Color: 'kGren' is no value of Color (did you mean 'kGreen'?)");
  EXPECT_EQ(outcome<Options>(R"({"by":1,"by":1})"), "PLX-COD-0007 Options.by: given twice");
  EXPECT_EQ(outcome<Flags>(R"({"bits":[true,3]})"),
            "PLX-COD-0004 Flags.bits[1]: expected true or false, found a number");
  EXPECT_EQ(outcome<std::int32_t>("\"5\""), "PLX-COD-0004 int32: expected an integer, found text");
  for (std::string_view text : {"\"Zg\"", "\"Zg=\"", "\"Z===\"", "\"====\"", "\"Zh==\"", "\"Zg==Zg==\"", "\"Z-8=\""}) {
    EXPECT_TRUE(outcome<Bytes>(text).starts_with(kErrorWrongType)) << text;
  }
  EXPECT_TRUE(outcome<std::string>('"' + std::string(kJsonBytesMax, 'a') + '"').starts_with(kErrorTooLarge));
}

TEST(JsonTest, NestingHasTheLimitOfTheWire) {
  auto nested = [](std::size_t depth) {
    std::string json = "{}";
    for (std::size_t i = 0; i < depth; ++i) json = "{\"children\":[" + json + "]}";
    return json;
  };
  EXPECT_EQ(outcome<Tree>(nested(kNestingMax)), "no error");
  EXPECT_TRUE(outcome<Tree>(nested(kNestingMax + 1)).starts_with(kErrorTooDeep));
  EXPECT_TRUE(outcome<Tree>(nested(10 * kNestingMax)).starts_with(kErrorTooDeep));
}

}  // namespace
}  // namespace plexspaces
