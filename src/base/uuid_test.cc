#include "base/uuid.h"

#include <gtest/gtest.h>

#include <set>
#include <unordered_set>

namespace rowhouse {
namespace {

using std::chrono::milliseconds;

TEST(UuidTest, TheNilOneIsAllZeros) {
  EXPECT_TRUE(Uuid().is_nil());
  EXPECT_EQ(Uuid().to_string(), "00000000-0000-0000-0000-000000000000");
}

TEST(UuidTest, ParsesEitherCaseAndWritesLowerCase) {
  const auto id = Uuid::parse("0197F3A2-89AB-7CDE-8F01-23456789ABCD");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->to_string(), "0197f3a2-89ab-7cde-8f01-23456789abcd");
  EXPECT_EQ(Uuid::parse(id->to_string()), id);
  EXPECT_EQ(id->bytes()[0], 0x01);
  EXPECT_EQ(id->bytes()[15], 0xcd);
}

TEST(UuidTest, RefusesEveryOtherForm) {
  for (const char* text : {"", "0197f3a289ab7cde8f0123456789abcd", "{0197f3a2-89ab-7cde-8f01-23456789abcd}",
                           "0197f3a2-89ab-7cde-8f01-23456789abc", "0197f3a2-89ab-7cde-8f01-23456789abcde",
                           "0197f3a2-89ab-7cde-8f01-23456789abcg", "0197f3a28-9ab-7cde-8f01-23456789abcd",
                           "0197f3a2-89ab-7cde-8f01 23456789abcd", "urn:uuid:0197f3a2-89ab-7cde-8f01-2345"}) {
    EXPECT_FALSE(Uuid::parse(text)) << text;
  }
}

TEST(UuidTest, Version7CarriesTheTime) {
  const WallTime time{milliseconds(0x0197f3a289ab)};
  const Uuid id = Uuid::make_v7(time);
  EXPECT_EQ(id.to_string().substr(0, 13), "0197f3a2-89ab");
  EXPECT_EQ(id.to_string()[14], '7');
  EXPECT_EQ(id.bytes()[8] & 0xc0, 0x80);
}

TEST(UuidTest, LaterOnesSortLater) {
  const WallTime time{milliseconds(1'000'000)};
  for (int i = 0; i < 100; ++i) {
    EXPECT_LT(Uuid::make_v7(time + milliseconds(i)), Uuid::make_v7(time + milliseconds(i + 1)));
  }
}

TEST(UuidTest, ManyOfOneMomentAreDistinct) {
  const WallTime time{milliseconds(5)};
  std::set<Uuid> ordered;
  std::unordered_set<Uuid> hashed;
  for (int i = 0; i < 1000; ++i) {
    const Uuid id = Uuid::make_v7(time);
    ordered.insert(id);
    hashed.insert(id);
  }
  EXPECT_EQ(ordered.size(), 1000U);
  EXPECT_EQ(hashed.size(), 1000U);
}

}  // namespace
}  // namespace rowhouse
