#include "tenancy/permissions.h"

#include <gmock/gmock.h>

#include <set>

namespace rowhouse::tenancy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Permissions of(const std::vector<std::string>& patterns) { return Permissions::from(patterns).value(); }

TEST(Permissions, ContainOperationsKindsAndEverything) {
  const auto some = of({"lead:read", "activity:*", "lead:create"});
  EXPECT_TRUE(some.contains("lead:read"));
  EXPECT_TRUE(some.contains("lead:create"));
  EXPECT_TRUE(some.contains("activity:anything"));
  EXPECT_FALSE(some.contains("lead:delete"));
  EXPECT_FALSE(some.contains("lead"));
  EXPECT_FALSE(some.contains("lead:"));
  EXPECT_FALSE(some.contains("leads:read"));
  EXPECT_FALSE(some.contains(""));
  EXPECT_TRUE(of({"*"}).contains("lead:delete"));
  EXPECT_FALSE(Permissions::nothing().contains("lead:read"));
}

TEST(Permissions, HaveACanonicalForm) {
  EXPECT_THAT(of({"b:x", "a:*", "a:read", "b:x"}).patterns(), ElementsAre("a:*", "b:x"));
  EXPECT_THAT(of({"a:read", "*"}).patterns(), ElementsAre("*"));
  EXPECT_THAT(Permissions::nothing().patterns(), IsEmpty());
  EXPECT_EQ(of({"a:read", "a:*"}), of({"a:*"}));
  EXPECT_TRUE(of({"a:read", "*"}).is_everything());
}

TEST(Permissions, RefuseWhatIsNoPattern) {
  for (const char* wrong : {"", "lead", "lead:", ":read", "*:read", "lead:re*", "Lead:read", "lead:read:all",
                            "lead read", "*:*", "1lead:read", "lead:*x", "**"}) {
    const auto made = Permissions::from({"a:b", wrong});
    ASSERT_FALSE(made.ok()) << wrong;
    EXPECT_EQ(made.error().fields.at(0).path, "/1");
  }
  EXPECT_FALSE(Permissions::from(std::vector<std::string>(Permissions::kMaxPatterns + 1, "a:b")).ok());
  EXPECT_FALSE(is_permission_pattern(std::string(128, 'a') + ":b"));
}

TEST(Permissions, CoverWhatIsNotMore) {
  const auto own = of({"lead:*", "key:read"});
  EXPECT_TRUE(own.covers(of({"lead:read", "lead:*", "key:read"})));
  EXPECT_TRUE(own.covers(Permissions::nothing()));
  EXPECT_FALSE(own.covers(of({"key:*"})));
  EXPECT_FALSE(own.covers(Permissions::everything()));
  EXPECT_EQ(own.first_not_covered(of({"key:read", "user:manage"})), "user:manage");
  EXPECT_TRUE(Permissions::everything().covers(Permissions::everything()));
}

TEST(Permissions, OfRowhouseItselfAreWellFormedAndApart) {
  std::set<std::string_view> names;
  for (const auto& own : kTenantOperations) {
    EXPECT_TRUE(is_permission_pattern(own.name)) << own.name;
    EXPECT_TRUE(names.insert(own.name).second) << own.name;
    EXPECT_TRUE(is_reserved_kind(operation_kind(own.name)));
  }
  for (const auto& own : kPlatformOperations) {
    EXPECT_TRUE(is_permission_pattern(own.name)) << own.name;
    EXPECT_TRUE(names.insert(own.name).second) << own.name;
    EXPECT_FALSE(is_tenant_operation(own.name));
  }
  EXPECT_TRUE(is_tenant_operation("key:manage"));
  EXPECT_TRUE(is_platform_operation("tenants:read"));
  EXPECT_FALSE(is_reserved_kind("lead"));
}

}  // namespace
}  // namespace rowhouse::tenancy
