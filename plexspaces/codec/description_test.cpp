#include "plexspaces/codec/description.hpp"

#include <gtest/gtest.h>

#include "plexspaces/codec/test_messages.hpp"

namespace plexspaces {
namespace {

using codec_test::Color;
using codec_test::Everything;
using codec_test::Line;
using codec_test::Tree;

enum Plain { kFirst, kSecond };
PLX_ENUM(Plain, (-1, kFirst), (1, kSecond));

struct Ping {
  using Reply = std::int64_t;
};
PLX_MESSAGE(Ping);

struct Outer {
  struct Inner {
    int number = 0;
  };
};
PLX_MESSAGE(Outer::Inner, (1, number));

int next_number() {
  static int number = 0;
  return ++number;
}

struct Defaults {
  bool given_flag = true;
  bool flag;
  std::int64_t given_number = 0;
  std::int64_t number;
  double given_real = 0;
  float real;
  Plain given_plain = kFirst;
  Plain plain;
  int computed = next_number();
  std::string text;
  Bytes octets;
  std::optional<int> maybe;
  std::vector<int> list;
  Line line;
  Line given_line{.sku = "a", .quantity = 1};
  Outer::Inner inner;
  Ping ping;
};
PLX_MESSAGE(Defaults, (1, given_flag), (2, flag), (3, given_number), (4, number), (5, given_real), (6, real),
            (7, given_plain), (8, plain), (9, computed), (10, text), (11, octets), (12, maybe), (13, list), (14, line),
            (15, given_line), (16, inner), (17, ping));

class NotAggregate {
 public:
  NotAggregate() : given(5) {}
  int given;
  int left;
  std::string text;
};
PLX_MESSAGE(NotAggregate, (1, given), (2, left), (3, text));

struct Derived : Ping {};

std::vector<std::string> required_fields(const MessageDescription& message) {
  std::vector<std::string> names;
  for (const FieldDescription& field : message.fields) {
    if (message.is_required(field)) names.emplace_back(field.name);
  }
  return names;
}

TEST(DescriptionTest, AFieldWithoutDefaultInitialiserIsRequired) {
  EXPECT_EQ(required_fields(description_of<Defaults>()),
            (std::vector<std::string>{"flag", "number", "real", "plain", "line"}));
  EXPECT_EQ(required_fields(description_of<NotAggregate>()), (std::vector<std::string>{"left"}));
  EXPECT_EQ(required_fields(description_of<Tree>()), std::vector<std::string>{});
}

TEST(DescriptionTest, FieldsAreByNumberAndReservedNumbersAreKept) {
  const MessageDescription& line = description_of<Line>();
  ASSERT_EQ(line.fields.size(), 2u);
  EXPECT_EQ(line.fields[0].name, "sku");
  EXPECT_EQ(line.fields[1].name, "quantity");
  EXPECT_EQ(line.fields[1].number, 3u);
  EXPECT_EQ(line.fields[1].offset, offsetof(Line, quantity));
  ASSERT_EQ(line.reserved.size(), 1u);
  EXPECT_EQ(line.reserved[0], 2u);
}

TEST(DescriptionTest, NamesAreTheRegisteredOnes) {
  EXPECT_EQ(value_type_of<Everything>().name, "Everything");
  EXPECT_EQ(value_type_of<Outer::Inner>().name, "Inner");
  EXPECT_EQ(value_type_of<std::vector<Line>>().name, "list<Line>");
  EXPECT_EQ(value_type_of<std::optional<Color>>().name, "optional<Color>");
  EXPECT_EQ(value_type_of<std::vector<std::string>>().name, "list<string>");
  EXPECT_EQ(value_type_of<std::uint64_t>().name, "uint64");
  EXPECT_EQ(value_type_of<long long>().name, "int64");
  EXPECT_EQ(value_type_of<void>().name, "void");
}

TEST(DescriptionTest, ATypeKnowsItsLifeCycle) {
  const ValueType& type = value_type_of<Line>();
  alignas(Line) unsigned char memory[3][sizeof(Line)];
  ASSERT_EQ(type.size, sizeof(Line));
  ASSERT_EQ(type.align, alignof(Line));
  EXPECT_FALSE(type.trivially_destructible);
  EXPECT_FALSE(type.trivially_relocatable);
  type.construct(memory[0]);
  auto* line = reinterpret_cast<Line*>(memory[0]);
  EXPECT_EQ(line->quantity, 0);
  *line = {.sku = "a name that is too long for the small buffer", .quantity = 4};
  type.copy_construct(memory[1], memory[0]);
  type.move_construct(memory[2], memory[0]);
  EXPECT_EQ(*reinterpret_cast<Line*>(memory[1]), *reinterpret_cast<Line*>(memory[2]));
  EXPECT_EQ(reinterpret_cast<Line*>(memory[2])->quantity, 4);
  for (auto& object : memory) type.destroy(object);

  EXPECT_TRUE(value_type_of<Ping>().trivially_relocatable);
  EXPECT_TRUE(value_type_of<std::int64_t>().trivially_destructible);
}

TEST(DescriptionTest, OnlyTheDescribedTypeItselfIsAMessage) {
  static_assert(Described<Ping> && !Described<Derived> && !Described<int> && !Described<std::string>);
  static_assert(MessageType<Ping> && !MessageType<std::string>);
  static_assert(DescribedEnum<Color> && !DescribedEnum<Code>);
  static_assert(std::same_as<ReplyOf<Ping>, std::int64_t> && std::same_as<ReplyOf<Line>, void>);
  EXPECT_EQ(&value_type_of<Ping>(), description_of<Ping>().type);
  EXPECT_EQ(value_type_of<Ping>().message, &description_of<Ping>());
}

// What PLX_MESSAGE asserts, on listings that it would refuse.
TEST(DescriptionTest, NumbersUsedTwiceReservedOrOutOfRangeAreFound) {
  using detail::FieldEntry;
  using detail::list_message;
  using detail::ReservedEntry;
  using Sku = FieldEntry<1, &Line::sku>;
  static_assert(list_message<Line>("Line", Sku{"sku", 0}, ReservedEntry<2>{}).numbers_unique());
  static_assert(
      !list_message<Line>("Line", Sku{"sku", 0}, FieldEntry<1, &Line::quantity>{"quantity", 0}).numbers_unique());
  static_assert(!list_message<Line>("Line", Sku{"sku", 0}, ReservedEntry<3, 1>{}).numbers_unique());
  static_assert(!list_message<Line>("Line", Sku{"sku", 0}, FieldEntry<2, &Line::sku>{"sku", 0}).names_unique());
  static_assert(!list_message<Line>("Line", FieldEntry<0, &Line::sku>{"sku", 0}).numbers_in_range());
  static_assert(!list_message<Line>("Line", FieldEntry<19000, &Line::sku>{"sku", 0}).numbers_in_range());
  static_assert(!list_message<Line>("Line", FieldEntry<536870912, &Line::sku>{"sku", 0}).numbers_in_range());
  static_assert(!detail::is_registrable("Page<int>") && detail::is_registrable("shop::Order"));
}

}  // namespace
}  // namespace plexspaces
