#include "tenancy/sql_scanner.h"

#include <gmock/gmock.h>

namespace rowhouse::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "line:WORD WORD WORD" of each statement.
std::vector<std::string> scan(std::string_view sql) {
  std::vector<std::string> lines;
  for (const SqlStatement& statement : scan_statements(sql)) {
    std::string text = std::to_string(statement.line) + ":" + statement.words[0];
    for (const std::string& word : {statement.words[1], statement.words[2]})
      text += word.empty() ? "" : " " + word;
    lines.push_back(text);
  }
  return lines;
}

TEST(SqlScanner, FindsStatementsAndTheirLines) {
  EXPECT_THAT(scan("create table t (a int);\n\n  select 1;commit"),
              ElementsAre("1:CREATE TABLE T", "3:SELECT", "3:COMMIT"));
  EXPECT_THAT(scan(""), IsEmpty());
  EXPECT_THAT(scan(" ;; \n ; -- nothing\n/* nothing */"), IsEmpty());
}

TEST(SqlScanner, SkipsWhatOnlyLooksLikeAStatement) {
  EXPECT_THAT(scan("-- commit;\nselect ';commit;' /* ;/* nested */commit; */, \";rollback\";"),
              ElementsAre("2:SELECT"));
  EXPECT_THAT(scan("SELECT E'it\\'s; commit;', 'it''s; commit;'; DROP x"),
              ElementsAre("1:SELECT E", "1:DROP X"));
  EXPECT_THAT(scan("DO $$ BEGIN COMMIT; END $$; DO $a$ $$;commit;$b$ $a$; SELECT $1"),
              ElementsAre("1:DO", "1:DO", "1:SELECT"));
  EXPECT_THAT(scan("SELECT a$b; COMMIT"), ElementsAre("1:SELECT A$B", "1:COMMIT"));
}

TEST(SqlScanner, KeepsBodiesOfStandardSqlTogether) {
  EXPECT_THAT(
      scan("CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\n"
           " DELETE FROM t; END;\nROLLBACK"),
      ElementsAre("1:CREATE FUNCTION F", "4:ROLLBACK"));
}

TEST(SqlScanner, EndsWhateverIsLeftOpen) {
  for (const char* open : {"SELECT 'a", "SELECT \"a", "SELECT $$a", "/* a", "SELECT $a", "SELECT E'\\", "$",
                           "-- a", "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;"}) {
    EXPECT_LE(scan(open).size(), 1U) << open;
  }
}

std::string_view fault(std::string_view sql) {
  const auto statements = scan_statements(sql);
  return statements.empty() ? "" : fault_of_statement(statements[0]);
}

TEST(SqlScanner, KnowsWhatAMigrationMustNotSay) {
  for (const char* refused : {"BEGIN",
                              "begin work",
                              "START TRANSACTION",
                              "COMMIT",
                              "END",
                              "ROLLBACK TO a",
                              "ABORT",
                              "SAVEPOINT a",
                              "RELEASE a",
                              "PREPARE TRANSACTION 'a'",
                              "SET ROLE a",
                              "SET LOCAL ROLE a",
                              "SET SESSION ROLE a",
                              "RESET ROLE",
                              "RESET ALL",
                              "SET SESSION AUTHORIZATION a",
                              "SET LOCAL SESSION AUTHORIZATION a",
                              "RESET SESSION AUTHORIZATION",
                              "DISCARD ALL",
                              "SET TRANSACTION READ ONLY",
                              "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                              "COPY t FROM STDIN"}) {
    EXPECT_FALSE(fault(refused).empty()) << refused;
  }
  for (const char* allowed :
       {"CREATE TABLE t ()", "SELECT 1", "SET LOCAL statement_timeout = 0", "DO $$ BEGIN END $$",
        "COMMENT ON TABLE t IS 'x'", "SET session_replication_role = x", ""}) {
    EXPECT_TRUE(fault(allowed).empty()) << allowed;
  }
}

TEST(SqlScanner, KnowsWhatTouchesRows) {
  for (const char* sql :
       {"UPDATE t SET a = 1", "WITH a AS (SELECT 1) DELETE FROM t", "DO $$ $$", "SELECT f()",
        "CREATE TABLE t AS SELECT 1", "CREATE TABLE t AS (SELECT 1)", "CREATE TABLE t AS TABLE u",
        "CREATE MATERIALIZED VIEW v AS SELECT 1", "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES b",
        "ALTER TABLE t ADD COLUMN a uuid REFERENCES b", "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t ALTER a TYPE int USING f(a)", "ALTER TABLE t ADD COLUMN a int DEFAULT f()",
        "ALTER TABLE t ADD COLUMN a int DEFAULT app.f(1)",
        "ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b) STORED", "REFRESH MATERIALIZED VIEW v",
        "ANYTHING NEW"}) {
    EXPECT_TRUE(touches_rows(scan_statements(sql)[0])) << sql;
  }
  for (const char* sql :
       {"CREATE TRIGGER t BEFORE UPDATE ON a",
        "CREATE TABLE t (a int DEFAULT 1, b int GENERATED ALWAYS AS (a) STORED)",
        "CREATE UNIQUE INDEX i ON t (a) WHERE b > 1", "CREATE OR REPLACE VIEW v AS SELECT * FROM t",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
        "COMMENT ON TABLE t IS 'SELECT'",
        "ALTER TABLE t ADD COLUMN a varchar(3) NOT NULL DEFAULT 'select' CHECK (a <> '')",
        "ALTER TABLE t ADD a timestamptz DEFAULT now(), DROP b, ALTER c SET NOT NULL",
        "ALTER TABLE t RENAME a TO b", "ALTER TYPE s ADD VALUE 'x'", "DROP TABLE t",
        "SET LOCAL statement_timeout = 0"}) {
    EXPECT_FALSE(touches_rows(scan_statements(sql)[0])) << sql;
  }
}

TEST(SqlScanner, KnowsWhatLeavesViewsAndFunctionsAlone) {
  for (const char* sql :
       {"ALTER TABLE a ADD COLUMN b text", "CREATE INDEX i ON a (b)", "create unique index i on a (b)",
        "CREATE TABLE b (id int)", "COMMENT ON VIEW v IS 'x'", "DROP INDEX i"}) {
    EXPECT_TRUE(changes_tables_alone(scan_statements(sql).front())) << sql;
  }
  for (const char* sql : {"CREATE VIEW v AS SELECT 1", "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1",
                          "ALTER FUNCTION f() STABLE", "DROP TABLE a", "CREATE UNIQUE", "DO ''"}) {
    EXPECT_FALSE(changes_tables_alone(scan_statements(sql).front())) << sql;
  }
}

}  // namespace
}  // namespace rowhouse::tenancy
