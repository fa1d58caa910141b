#include "plexspaces/base/utf8.hpp"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace plexspaces {
namespace {

// By the table of RFC 3629, section 3.
std::string utf8_of(std::uint32_t character) {
  auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (character < 0x80) return {static_cast<char>(character)};
  if (character < 0x800) return {static_cast<char>(0xC0 | character >> 6), tail(character)};
  if (character < 0x10000) return {static_cast<char>(0xE0 | character >> 12), tail(character >> 6), tail(character)};
  return {static_cast<char>(0xF0 | character >> 18), tail(character >> 12), tail(character >> 6), tail(character)};
}

TEST(Utf8Test, EveryCharacterIsTextExceptSurrogates) {
  for (std::uint32_t character = 0; character <= 0x110000; ++character) {
    std::string text = utf8_of(character);
    bool is_character = character <= 0x10FFFF && (character < 0xD800 || character > 0xDFFF);
    ASSERT_EQ(utf8_length(text), is_character ? text.size() : 0) << character;
  }
}

TEST(Utf8Test, OverlongFormsAndTruncationsAreNotText) {
  for (std::string_view text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
                                "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xE2(\xA1"})
    EXPECT_EQ(utf8_length(text), 0u);
}

TEST(Utf8Test, TextIsUtf8ToItsEndWhereverTheWrongByteStands) {
  std::string text = "plain text of more than eight bytes \u20ac and \U0001F600 more";
  EXPECT_TRUE(is_utf8(text));
  EXPECT_TRUE(is_utf8(""));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string broken = text;
    broken[i] = '\xFF';
    EXPECT_FALSE(is_utf8(broken)) << i;
  }
}

TEST(Utf8Test, APrefixEndsAtACharacter) {
  EXPECT_EQ(text_prefix("abc", 3), "abc");
  EXPECT_EQ(text_prefix("abc", 2), "ab");
  EXPECT_EQ(text_prefix("abc", 0), "");
  const std::string text = "a\u20acb\U0001F600";  // 1 + 3 + 1 + 4 bytes
  const std::size_t ends[] = {0, 1, 1, 1, 4, 5, 5, 5, 5, 9};
  for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) EXPECT_EQ(text_prefix(text, bytes).size(), ends[bytes]);
  EXPECT_EQ(text_prefix("\x80\x80\x80\x80\x80\x80", 5).size(), 5u);
  EXPECT_EQ(text_prefix("\xF0\x9F\x98", 2).size(), 2u);  // never a character
}

TEST(Utf8Test, AnExcerptIsShortAndSaysThatItIs) {
  EXPECT_EQ(excerpt("short"), "short");
  EXPECT_EQ(excerpt(std::string(kExcerptBytesMax, 'x')), std::string(kExcerptBytesMax, 'x'));
  EXPECT_EQ(excerpt(std::string(1 << 20, 'x')), std::string(kExcerptBytesMax, 'x') + "...");
  EXPECT_TRUE(is_utf8(excerpt(std::string(kExcerptBytesMax - 1, 'x') + "\u20ac")));
}

}  // namespace
}  // namespace plexspaces
