#include "tenancy/isolation_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tenancy/lint.h"

namespace rowhouse::tenancy {
namespace {

// Tests run in the root of the repository.
std::string text_of(const char* path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string quoted(std::string_view name) { return "`" + std::string(name) + "`"; }

TEST(IsolationRules, AreAllExplainedToAuthors) {
  const std::string text = text_of("docs/packs.md");
  for (const IsolationRule& rule : isolation_rules()) {
    if (rule.use == RuleUse::lint) continue;
    EXPECT_NE(text.find(quoted(rule.name)), std::string::npos) << rule.name << " is missing in docs/packs.md";
  }
}

TEST(IsolationRules, AreAllExplainedToOperators) {
  const std::string text = text_of("docs/isolation-rules.md");
  for (const RuleInfo& rule : lint_rules()) {
    EXPECT_NE(text.find(quoted(rule.name)), std::string::npos)
        << rule.name << " is missing in docs/isolation-rules.md";
  }
}

TEST(IsolationRules, HaveNamesOfTheirOwn) {
  std::vector<std::string> names;
  for (const RuleInfo& rule : lint_rules()) names.emplace_back(rule.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace rowhouse::tenancy
