#include "pg/quote.h"

#include <gtest/gtest.h>

#include <string>

namespace rowhouse::pg {
namespace {

TEST(Quote, NamesKeepEveryCharacter) {
  EXPECT_EQ(quote_name("leads"), R"("leads")");
  EXPECT_EQ(quote_name("Select"), R"("Select")");
  EXPECT_EQ(quote_name(R"(a"; DROP TABLE b; --)"), R"("a""; DROP TABLE b; --")");
  EXPECT_EQ(quote_name("müller 'n' \\ sons"), "\"müller 'n' \\ sons\"");
  EXPECT_EQ(quote_qualified("app", "a.b"), R"("app"."a.b")");
}

TEST(Quote, NamesUpToTheLimitAreTaken) {
  const std::string longest(kMaxNameBytes, '"');
  EXPECT_EQ(quote_name(longest).size(), 2 * kMaxNameBytes + 2);
}

TEST(QuoteDeathTest, NamesThatPostgresWouldChangeAreBugs) {
  EXPECT_DEATH(quote_name(""), "");
  EXPECT_DEATH(quote_name(std::string(kMaxNameBytes + 1, 'a')), "");
  EXPECT_DEATH(quote_name(std::string_view("a\0b", 3)), "");
  EXPECT_DEATH(quote_name("a\xff"), "");
}

TEST(Quote, Literals) {
  EXPECT_EQ(quote_literal(""), "''");
  EXPECT_EQ(quote_literal("O'Brien"), "'O''Brien'");
  EXPECT_EQ(quote_literal(R"(\' OR 1=1 --)"), R"( E'\\'' OR 1=1 --')");
  EXPECT_EQ(quote_literal("naïve\n"), "'naïve\n'");
}

TEST(QuoteDeathTest, LiteralsThatPostgresCannotHoldAreBugs) {
  EXPECT_DEATH(quote_literal(std::string_view("\0", 1)), "");
  EXPECT_DEATH(quote_literal("\xc3"), "");
}

}  // namespace
}  // namespace rowhouse::pg
