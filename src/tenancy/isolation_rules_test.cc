#include "tenancy/isolation_rules.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace rowhouse::tenancy {
namespace {

// Tests run in the root of the repository.
TEST(IsolationRules, AreAllExplainedToAuthors) {
  std::ifstream file("docs/packs.md");
  ASSERT_TRUE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  for (const IsolationRule& rule : isolation_rules()) {
    EXPECT_NE(text.str().find("`" + std::string(rule.name) + "`"), std::string::npos)
        << rule.name << " is missing in docs/packs.md";
  }
}

}  // namespace
}  // namespace rowhouse::tenancy
