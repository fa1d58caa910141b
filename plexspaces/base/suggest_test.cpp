#include "plexspaces/base/suggest.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace plexspaces {
namespace {

const std::vector<std::string> kNames{"quantity", "sku", "by"};

TEST(SuggestTest, TheNearestNameWithinTwoEditsIsMeant) {
  EXPECT_EQ(suggest("quantiy", kNames), " (did you mean 'quantity'?)");
  EXPECT_EQ(suggest("qantitys", kNames), " (did you mean 'quantity'?)");
  EXPECT_EQ(suggest("bye", kNames), " (did you mean 'by'?)");
  EXPECT_EQ(suggest("skus", std::vector<std::string>{"skulls", "sku"}), " (did you mean 'sku'?)");
}

TEST(SuggestTest, WhatIsFartherAwayGetsTheList) {
  EXPECT_EQ(suggest("quanti", std::vector<std::string>{"quantity"}), " (did you mean 'quantity'?)");
  EXPECT_EQ(suggest("quant", std::vector<std::string>{"quantity"}), "; known: quantity");
  EXPECT_EQ(suggest("color", kNames), "; known: quantity, sku, by");
  EXPECT_EQ(suggest(std::string(1 << 20, 'x'), kNames), "; known: quantity, sku, by");
  EXPECT_EQ(suggest("x", {}), "");
}

}  // namespace
}  // namespace plexspaces
