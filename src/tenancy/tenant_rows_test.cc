#include "tenancy/tenant_rows.h"

#include <gtest/gtest.h>

namespace rowhouse::tenancy {
namespace {

TenantTable table(std::string id, std::vector<std::string> parents) {
  TenantTable made;
  made.id = id;
  made.schema = "app";
  made.name = std::move(id);
  made.parents = std::move(parents);
  return made;
}

std::vector<std::string> names(const std::vector<std::vector<TenantTable>>& order) {
  std::vector<std::string> steps;
  for (const auto& step : order) {
    std::string joined;
    for (const auto& entry : step) joined += (joined.empty() ? "" : "+") + entry.name;
    steps.push_back(joined);
  }
  return steps;
}

TEST(DeletionOrder, WhoRefersComesFirst) {
  const auto order = deletion_order({table("leads", {}), table("activities", {"leads"}),
                                     table("comments", {"activities", "leads"}), table("settings", {})});
  EXPECT_EQ(names(order), (std::vector<std::string>{"comments", "settings", "activities", "leads"}));
}

TEST(DeletionOrder, ATableMayReferToItselfAndToTablesElsewhere) {
  const auto order = deletion_order({table("tree", {"tree", "shared_elsewhere"})});
  EXPECT_EQ(names(order), (std::vector<std::string>{"tree"}));
}

TEST(DeletionOrder, CirclesShareAStep) {
  const auto order = deletion_order({table("a", {"b"}), table("b", {"a"}), table("leaf", {"a"})});
  EXPECT_EQ(names(order), (std::vector<std::string>{"leaf", "a+b"}));
}

TEST(DeletionOrder, NothingToDo) { EXPECT_TRUE(deletion_order({}).empty()); }

}  // namespace
}  // namespace rowhouse::tenancy
