#include "pg/statement_effect.h"

#include <gtest/gtest.h>

namespace rowhouse::pg {
namespace {

TEST(EffectName, IsTheKeywordAndTheKindOfObject) {
  EXPECT_EQ(effect_name("CREATE SCHEMA \"a\""), "CREATE SCHEMA");
  EXPECT_EQ(effect_name("\n-- why\n create or replace function f()"), "CREATE FUNCTION");
  EXPECT_EQ(effect_name("CREATE UNIQUE INDEX i ON t (a)"), "CREATE INDEX");
  EXPECT_EQ(effect_name("BEGIN; DROP TABLE t"), "BEGIN");
  EXPECT_EQ(effect_name("DROP DATABASE IF EXISTS x"), "DROP DATABASE");
  EXPECT_EQ(effect_name("COMMIT"), "COMMIT");
  EXPECT_EQ(effect_name("insert into t values (1)"), "INSERT INTO");
}

TEST(EffectName, NeverHoldsANameOrAValue) {
  EXPECT_EQ(effect_name("ALTER ROLE joe PASSWORD 'secret'"), "ALTER ROLE");
  EXPECT_EQ(effect_name("SELECT secret"), "SELECT");
  EXPECT_EQ(effect_name("SET hunter2 = 'x'"), "SET");
  EXPECT_EQ(effect_name("SELECT'secret'"), "SELECT");
  EXPECT_EQ(effect_name("GRANT admin TO joe"), "GRANT");
  EXPECT_EQ(effect_name("'secret'"), "SQL");
  EXPECT_EQ(effect_name(""), "SQL");
  EXPECT_EQ(effect_name("-- only a comment"), "SQL");
}

}  // namespace
}  // namespace rowhouse::pg
