#include "tenancy/lint_alike.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rowhouse::tenancy {
namespace {

using ::testing::ElementsAre;

std::vector<SchemaScope> scopes(std::initializer_list<const char*> names) {
  std::vector<SchemaScope> scopes;
  for (const char* name : names) {
    SchemaScope scope;
    scope.schema = name;
    scopes.push_back(std::move(scope));
  }
  return scopes;
}

TEST(LintAlike, BothHalvesMustAgree) {
  const auto schemas = scopes({"a", "b", "c", "d"});
  const std::vector<SchemaLook> tables = {{"d", "1"}, {"c", "1"}, {"b", "2"}, {"a", "1"}};
  const std::vector<SchemaLook> rest = {{"a", "1"}, {"b", "1"}, {"c", "3"}, {"d", "1"}};
  EXPECT_THAT(group_by_look(schemas, tables, rest),
              ElementsAre(AlikeSchemas({0, 3}), AlikeSchemas({1}), AlikeSchemas({2})));
}

TEST(LintAlike, HalvesAreNotMixedUp) {
  const std::vector<SchemaLook> tables = {{"a", "1"}, {"b", "2"}}, rest = {{"a", "2"}, {"b", "1"}};
  EXPECT_THAT(group_by_look(scopes({"a", "b"}), tables, rest),
              ElementsAre(AlikeSchemas({0}), AlikeSchemas({1})));
}

TEST(LintAlike, WhatOneHalfHasNotSeenIsLikeNothing) {
  const std::vector<SchemaLook> tables = {{"a", "1"}, {"c", "1"}},
                                rest = {{"b", "1"}, {"c", "1"}, {"e", "1"}};
  EXPECT_THAT(group_by_look(scopes({"a", "b", "c", "d", "e"}), tables, rest),
              ElementsAre(AlikeSchemas({0}), AlikeSchemas({1}), AlikeSchemas({2}), AlikeSchemas({3}),
                          AlikeSchemas({4})));
}

TEST(LintAlike, TheLastTwoSpeakForAll) {
  EXPECT_THAT(representatives({3}), ElementsAre(3));
  EXPECT_THAT(representatives({3, 7}), ElementsAre(3, 7));
  EXPECT_THAT(representatives({0, 3, 7, 9}), ElementsAre(7, 9));
}

}  // namespace
}  // namespace rowhouse::tenancy
