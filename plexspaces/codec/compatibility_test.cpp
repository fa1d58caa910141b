#include "plexspaces/codec/compatibility.hpp"

#include <gtest/gtest.h>

#include "plexspaces/codec/codec.hpp"
#include "plexspaces/codec/test_messages.hpp"

namespace plexspaces {
namespace {

constexpr std::string_view kSystem = R"(message Order
  1 sku string
  2 reserved
  3 quantity required int32
  4 lines list message Line
  5 color optional enum Color
  6 total int64
message Line
  1 sku string
enum Color
  1 kRed
  2 kGreen
)";

std::string changed(std::string_view from, std::string_view to) {
  std::string text(kSystem);
  std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string verdict(std::string_view from, std::string_view to) {
  Status status = check_compatible(kSystem, changed(from, to));
  return status ? "compatible" : status.error().message();
}

TEST(CompatibilityTest, ADescriptionIsStableText) {
  EXPECT_EQ(describe(description_of<codec_test::Everything>()), R"(message Everything
  1 flag required bool
  2 small required int32
  3 large required int64
  4 small_count required uint32
  5 large_count required uint64
  6 ratio required float
  7 precise required double
  8 color required enum Color
  9 text string
  10 octets bytes
  11 line required message Line
  12 maybe_number optional int64
  13 maybe_line optional message Line
  14 numbers list int64
  15 flags list bool
  16 reals list double
  17 colors list enum Color
  18 texts list string
  200 lines list message Line
enum Color
  1 kRed
  2 kGreen
message Line
  1 sku string
  2 reserved
  3 quantity required int32
)");
  EXPECT_EQ(describe(description_of<codec_test::Tree>()),
            "message Tree\n  1 value int32\n  2 children list message Tree\n");
}

TEST(CompatibilityTest, ADescriptionIsCompatibleWithItself) {
  for (const MessageDescription* message :
       {&description_of<codec_test::Everything>(), &description_of<codec_test::Tree>()}) {
    EXPECT_TRUE(check_compatible(describe(*message), describe(*message)).has_value());
  }
}

TEST(CompatibilityTest, ChangesThatKeepStoredBytesReadableAreAllowed) {
  EXPECT_EQ(verdict("  6 total int64\n", "  6 total int64\n  7 note optional string\n  8 count int32\n"), "compatible");
  EXPECT_EQ(verdict("quantity required int32", "quantity int32"), "compatible");
  EXPECT_EQ(verdict("quantity required int32", "quantity optional int32"), "compatible");
  EXPECT_EQ(verdict("6 total int64", "6 sum int64"), "compatible");
  EXPECT_EQ(verdict("6 total int64", "6 reserved"), "compatible");
  EXPECT_EQ(verdict("  2 kGreen\n", "  2 kGreen\n  3 kBlue\n"), "compatible");
  EXPECT_EQ(verdict("2 kGreen", "2 kDarkGreen"), "compatible");
}

TEST(CompatibilityTest, ChangesThatLoseStoredBytesAreNamed) {
  EXPECT_EQ(
      verdict("6 total int64", "6 total string"),
      "stored values of Order would not be read: Order: field 6 total was int64 and is string; give the new kind a "
      "new number");
  EXPECT_NE(verdict("6 total int64", "6 total list int64").find("was int64 and is list int64"), std::string::npos);
  EXPECT_NE(verdict("5 color optional enum Color", "5 color optional int32").find("was enum Color and is int32"),
            std::string::npos);
  EXPECT_NE(verdict("  6 total int64\n", "").find("field 6 total was removed; add its number to PLX_RESERVED"),
            std::string::npos);
  EXPECT_NE(
      verdict("  6 total int64\n", "  6 total int64\n  7 note required bool\n").find("new field 7 note is required"),
      std::string::npos);
  EXPECT_NE(verdict("6 total int64", "6 total required int64").find("6 total becomes required"), std::string::npos);
  EXPECT_NE(verdict("2 reserved", "2 again int32").find("number 2 was reserved"), std::string::npos);
  EXPECT_NE(verdict("  2 reserved\n", "").find("number 2 was reserved"), std::string::npos);
  EXPECT_NE(verdict("  2 kGreen\n", "").find("Color: value 2 kGreen was removed"), std::string::npos);
  EXPECT_NE(verdict("message Line\n  1 sku string", "message Line\n  1 sku bytes").find("Line: field 1 sku was string"),
            std::string::npos);
  EXPECT_NE(verdict("message Order", "message Purchase").find("was Order and is Purchase"), std::string::npos);
}

TEST(CompatibilityTest, ANestedTypeMayHaveAnotherNameButNotAnotherShape) {
  std::string renamed = changed("list message Line", "list message Item");
  renamed.replace(renamed.find("message Line"), 12, "message Item");
  EXPECT_TRUE(check_compatible(kSystem, renamed).has_value());
  renamed.replace(renamed.rfind("sku string"), 10, "sku int64\n");
  EXPECT_FALSE(check_compatible(kSystem, renamed).has_value());
}

TEST(CompatibilityTest, OtherTextIsRefused) {
  for (std::string_view text : {"", "Order", "message Order\n  x sku string\n", "message Order\n  1 sku\n",
                                "message Order\n  1 a string\n  1 b string\n", "  1 sku string\n"}) {
    Status status = check_compatible(text, kSystem);
    ASSERT_FALSE(status.has_value()) << text;
    EXPECT_EQ(status.error().domain(), kErrorBadDescription);
  }
}

}  // namespace
}  // namespace plexspaces
