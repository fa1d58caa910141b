// Messages with a field of every kind, and generators of them. For the tests of this module.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "plexspaces/codec/codec.hpp"

namespace plexspaces::codec_test {

enum class Color : std::uint8_t { kRed = 7, kGreen = 200 };
PLX_ENUM(Color, (1, kRed), (2, kGreen));

struct Line {
  std::string sku;
  std::int32_t quantity;

  friend bool operator==(const Line&, const Line&) = default;
};
PLX_MESSAGE(Line, (3, quantity), (1, sku), PLX_RESERVED(2));

struct Everything {
  bool flag;
  std::int32_t small;
  std::int64_t large;
  std::uint32_t small_count;
  std::uint64_t large_count;
  float ratio;
  double precise;
  Color color;
  std::string text;
  Bytes octets;
  Line line;
  std::optional<std::int64_t> maybe_number;
  std::optional<Line> maybe_line;
  std::vector<std::int64_t> numbers;
  std::vector<bool> flags;
  std::vector<double> reals;
  std::vector<Color> colors;
  std::vector<std::string> texts;
  std::vector<Line> lines;
};
PLX_MESSAGE(Everything, (1, flag), (2, small), (3, large), (4, small_count), (5, large_count), (6, ratio), (7, precise),
            (8, color), (9, text), (10, octets), (11, line), (12, maybe_number), (13, maybe_line), (14, numbers),
            (15, flags), (16, reals), (17, colors), (18, texts), (200, lines));

/// Contains itself.
struct Tree {
  std::int32_t value = 0;
  std::vector<Tree> children;
};
PLX_MESSAGE(Tree, (1, value), (2, children));

inline rc::Gen<std::string> any_text() {
  // Characters of each length in UTF-8, controls, and what JSON escapes.
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
                          "a", "Z", "0", "\"", "\\", "/", "\n", "\x01", std::string(1, '\0'), "\x7f", "\u00e9",
                          "\u20ac", "\ufffd", "\U0001F600", "\U0010FFFF")),
                      [](const std::vector<std::string>& characters) {
                        std::string text;
                        for (const std::string& character : characters) text += character;
                        return text;
                      });
}

template <class Integer>
rc::Gen<Integer> any_integer() {
  using Limits = std::numeric_limits<Integer>;
  return rc::gen::oneOf(rc::gen::arbitrary<Integer>(), rc::gen::inRange<Integer>(Limits::min(), Limits::max()),
                        rc::gen::element<Integer>(Limits::min(), Limits::max(), 0, 1, 127, 128));
}

/// Every bit pattern, with one NaN only: JSON has no others.
template <class Float, class Bits>
rc::Gen<Float> any_float() {
  return rc::gen::map(any_integer<Bits>(), [](Bits bits) {
    Float number = std::bit_cast<Float>(bits);
    return std::isnan(number) ? std::numeric_limits<Float>::quiet_NaN() : number;
  });
}

inline rc::Gen<double> any_double() { return any_float<double, std::uint64_t>(); }
inline rc::Gen<Color> any_color() { return rc::gen::element(Color::kRed, Color::kGreen); }
inline rc::Gen<Line> any_line() { return rc::gen::construct<Line>(any_text(), any_integer<std::int32_t>()); }

template <class X>
rc::Gen<std::vector<X>> any_list(rc::Gen<X> element) {
  return rc::gen::container<std::vector<X>>(std::move(element));
}

inline rc::Gen<Everything> any_everything() {
  return rc::gen::exec([] {
    Everything value{};
    value.flag = *rc::gen::arbitrary<bool>();
    value.small = *any_integer<std::int32_t>();
    value.large = *any_integer<std::int64_t>();
    value.small_count = *any_integer<std::uint32_t>();
    value.large_count = *any_integer<std::uint64_t>();
    value.ratio = *any_float<float, std::uint32_t>();
    value.precise = *any_double();
    value.color = *any_color();
    value.text = *any_text();
    value.octets.data = *rc::gen::arbitrary<std::string>();
    value.line = *any_line();
    if (*rc::gen::arbitrary<bool>()) value.maybe_number = *any_integer<std::int64_t>();
    if (*rc::gen::arbitrary<bool>()) value.maybe_line = *any_line();
    value.numbers = *any_list(any_integer<std::int64_t>());
    value.flags = *rc::gen::arbitrary<std::vector<bool>>();
    value.reals = *any_list(any_double());
    value.colors = *any_list(any_color());
    value.texts = *any_list(any_text());
    value.lines = *any_list(any_line());
    return value;
  });
}

}  // namespace plexspaces::codec_test
