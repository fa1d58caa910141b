#include "plexspaces/codec/protobuf.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/test_messages.hpp"

#include "codec_test.pb.h"

using ProtoEverything = plexspaces::codec_test::proto::Everything;
using ProtoLine = plexspaces::codec_test::proto::Line;

PLX_PROTOBUF_MESSAGE(plexspaces::codec_test::proto::Line, std::int64_t);

namespace plexspaces {
namespace {

using codec_test::any_everything;
using codec_test::Color;
using codec_test::Everything;
using codec_test::Line;

void fill(const Line& line, ProtoLine& to) {
  to.set_sku(line.sku);
  to.set_quantity(line.quantity);
}

ProtoEverything to_proto(const Everything& value) {
  auto color_number = [](Color color) {
    return color == Color::kRed ? codec_test::proto::RED : codec_test::proto::GREEN;
  };
  ProtoEverything to;
  to.set_flag(value.flag);
  to.set_small(value.small);
  to.set_large(value.large);
  to.set_small_count(value.small_count);
  to.set_large_count(value.large_count);
  to.set_ratio(value.ratio);
  to.set_precise(value.precise);
  to.set_color(color_number(value.color));
  to.set_text(value.text);
  to.set_octets(value.octets.data);
  fill(value.line, *to.mutable_line());
  if (value.maybe_number) to.set_maybe_number(*value.maybe_number);
  if (value.maybe_line) fill(*value.maybe_line, *to.mutable_maybe_line());
  for (std::int64_t number : value.numbers) to.add_numbers(number);
  for (bool flag : value.flags) to.add_flags(flag);
  for (double real : value.reals) to.add_reals(real);
  for (Color color : value.colors) to.add_colors(color_number(color));
  for (const std::string& text : value.texts) to.add_texts(text);
  for (const Line& line : value.lines) fill(line, *to.add_lines());
  return to;
}

RC_GTEST_PROP(ProtobufTest, TheBytesAreProtobufsOwn, ()) {
  Everything value = *any_everything();
  ProtoEverything proto = to_proto(value);
  std::string bytes = proto.SerializeAsString();
  RC_ASSERT(encode(value) == bytes);
  Result<Everything> read = decode<Everything>(bytes);
  RC_ASSERT(read && encode(*read) == bytes);
}

RC_GTEST_PROP(ProtobufTest, WhatProtobufRefusesTheCodecRefuses, ()) {
  std::string bytes = encode(*any_everything());
  auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  if (decode<Everything>(bytes)) RC_ASSERT(ProtoEverything().ParseFromString(bytes));
}

TEST(ProtobufTest, AClassIsAMessageUnderItsFullName) {
  static_assert(MessageType<ProtoLine> && !Described<ProtoLine>);
  static_assert(std::same_as<ReplyOf<ProtoLine>, std::int64_t> && std::same_as<ReplyOf<ProtoEverything>, void>);
  EXPECT_EQ(value_type_of<ProtoLine>().name, "plexspaces.codec_test.proto.Line");
  EXPECT_EQ(&value_type_of<ProtoLine>(), &value_type_of<ProtoLine>());
}

TEST(ProtobufTest, AClassHasBytesAndJson) {
  ProtoLine line;
  line.set_sku("a");
  line.set_quantity(2);
  EXPECT_EQ(encode(line), line.SerializeAsString());
  Result<ProtoLine> read = decode<ProtoLine>(line.SerializeAsString());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->quantity(), 2);
  EXPECT_EQ(to_json(line), R"({"sku":"a","quantity":2})");
  Result<ProtoLine> parsed = from_json<ProtoLine>(R"({"sku":"b","quantity":3})");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->sku(), "b");
  EXPECT_TRUE(from_json<ProtoLine>("").has_value());

  ProtoEverything everything;
  everything.set_small_count(4);
  EXPECT_EQ(to_json(everything), R"({"small_count":4})");
}

TEST(ProtobufTest, ErrorsTellMalformedJsonFromJsonThatDoesNotFit) {
  EXPECT_EQ(from_json<ProtoLine>("{\"sku\":").error().domain(), kErrorMalformedJson);
  EXPECT_EQ(from_json<ProtoLine>("{\"skew\":1}").error().domain(), kErrorProtobuf);
  EXPECT_EQ(from_json<ProtoLine>("{\"quantity\":\"x\"}").error().domain(), kErrorProtobuf);
  EXPECT_EQ(decode<ProtoLine>("\x18").error().domain(), kErrorProtobuf);
  Result<ProtoLine> long_name = from_json<ProtoLine>("{\"" + std::string(1 << 20, 'x') + "\":1}");
  ASSERT_FALSE(long_name);
  EXPECT_LT(long_name.error().message().size(), 2000u);
}

}  // namespace
}  // namespace plexspaces
