#include "tenancy/lru_map.h"

#include <gtest/gtest.h>

#include <string>

namespace rowhouse::tenancy {
namespace {

TEST(LruMap, ForgetsWhatWasUsedLeastRecently) {
  LruMap<int, std::string> map(2);
  EXPECT_FALSE(map.put(1, "one"));
  EXPECT_FALSE(map.put(2, "two"));
  ASSERT_NE(map.find(1), nullptr);
  const auto evicted = map.put(3, "three");
  ASSERT_TRUE(evicted);
  EXPECT_EQ(evicted->first, 2);
  EXPECT_EQ(evicted->second, "two");
  EXPECT_EQ(map.find(2), nullptr);
  EXPECT_EQ(*map.find(1), "one");
  EXPECT_EQ(map.size(), 2U);
}

TEST(LruMap, ReplacingEvictsNothing) {
  LruMap<int, std::string> map(1);
  map.put(1, "one");
  EXPECT_FALSE(map.put(1, "uno"));
  EXPECT_EQ(*map.find(1), "uno");
}

TEST(LruMap, TakenIsGone) {
  LruMap<int, std::string> map(4);
  map.put(1, "one");
  EXPECT_EQ(map.take(1), "one");
  EXPECT_FALSE(map.take(1));
  map.put(2, "two");
  map.clear();
  EXPECT_EQ(map.find(2), nullptr);
  EXPECT_EQ(map.size(), 0U);
}

}  // namespace
}  // namespace rowhouse::tenancy
