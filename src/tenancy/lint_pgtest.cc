// Breaks an installation in one way after the other: each rule is seen to fire, and its fix to mend it.
#include "tenancy/lint.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <set>

#include "tenancy/installation_pgtest.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_breaks_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using fixture::Break;
using fixture::kBreaks;
using fixture::Where;
using ::testing::Contains;
using ::testing::IsEmpty;

// A fix may uncover the next fault: a column that was missing needs its policies.
constexpr int kMaxRounds = 5;
constexpr std::size_t kParts = 3;

class Lint : public fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    if (own_) return;
    const Bundle ruled = fixture::bundle_with_row_rules();
    const auto upgraded = run(node().upgrades.install(ruled, UpgradeOptions(), "tester", testing::patient()));
    ASSERT_TRUE(upgraded.ok()) << upgraded.error().message;
    create(request("Pooled"));
    schema_ = create(request("Apart", Tier::schema)).tenant;
    // With two that nobody breaks, and that come last by name: what is found in the others is not found
    // because they were chosen to speak for all (lint_alike.h).
    create(request("Tidy", Tier::schema));
    other_ = create(request("Untouched", Tier::schema)).tenant;
    own_ = create(request("Alone", Tier::database)).tenant;
  }

  static void TearDownTestSuite() {
    linter_.reset();
    own_.reset();
    schema_.reset();
    other_.reset();
    InstallationTest::TearDownTestSuite();
  }

  static std::vector<LintFinding> lint(LintRequest request = LintRequest()) {
    // One for the suite: it reads what this binary ships once, from a database that it makes for that.
    if (!linter_) linter_ = std::make_unique<Linter>(cluster(), node().platform);
    auto report = run(linter_->run(std::move(request), testing::patient()));
    if (!report.ok()) {
      ADD_FAILURE() << report.error().message << " " << report.error().detail(pg::kServerMessage);
      return {};
    }
    return std::move(report->findings);
  }

  // Where it was broken, alone; whether a mended installation is clean is asked of all of it. What has
  // drifted is seen by comparison with other databases.
  static std::vector<LintFinding> lint_for(const Break& broken) {
    const Where where = broken.where;
    const bool is_of_one_database = where != Where::server && where != Where::platform;
    LintRequest request;
    if (is_of_one_database && std::string_view(broken.rule) != "drift")
      request.databases = {database_of(where)};
    return lint(std::move(request));
  }

  static std::string database_of(Where where) {
    switch (where) {
      case Where::pool:
      case Where::schema:
        return pool_database_name("mini");
      case Where::template_database:
        return template_database_name("mini");
      case Where::own_database:
        return own_->placement.database;
      case Where::server:
        return "postgres";
      case Where::platform:
        return std::string(kPlatformDatabase);
    }
    return "";
  }

  // Names of this installation, in the SQL of a Break.
  static std::string filled_in(std::string sql) {
    const std::pair<std::string, std::string> names[] = {{"@schema@", schema_->placement.schema},
                                                         {"@other@", other_->placement.schema},
                                                         {"@own_database@", own_->placement.database},
                                                         {"@own_role@", own_->placement.role},
                                                         {"@own_id@", own_->id.to_string()}};
    for (const auto& [mark, name] : names) {
      for (auto at = sql.find(mark); at != std::string::npos; at = sql.find(mark))
        sql.replace(at, mark.size(), name);
    }
    return sql;
  }

  static void run_in(Where where, const std::string& sql) { run_in(database_of(where), sql); }
  static void run_in(const std::string& database, const std::string& sql) {
    if (sql.empty()) return;
    testing::BlockingSql connection(testing::superuser(database.empty() ? "postgres" : database));
    // One statement after the other: some cannot run in a transaction block.
    connection.run("SET search_path = ''");
    for (const std::string& statement : statements_of(sql)) connection.run(statement);
  }

  // What one fix drops, another one may have been about.
  static void run_fix(const LintFinding& finding) {
    // Undefined or duplicate objects of any kind.
    const std::set<std::string> gone = {"", "42704", "42883", "42P01", "3F000", "42710", "42P07"};
    testing::BlockingSql connection(
        testing::superuser(finding.database.empty() ? "postgres" : finding.database));
    connection.run("SET search_path = ''");
    for (const std::string& statement : statements_of(finding.fix))
      EXPECT_TRUE(gone.contains(connection.failure(statement))) << statement;
  }

  // At ";\n" or the end.
  static std::vector<std::string> statements_of(const std::string& sql) {
    std::vector<std::string> statements;
    std::size_t begin = 0;
    for (auto end = sql.find(";\n"); end != std::string::npos; end = sql.find(";\n", begin)) {
      statements.push_back(sql.substr(begin, end + 1 - begin));
      begin = end + 2;
    }
    if (begin < sql.size()) statements.push_back(sql.substr(begin));
    return statements;
  }

  static std::vector<std::string> words_of(const std::vector<LintFinding>& findings) {
    std::vector<std::string> words;
    for (const LintFinding& finding : findings) {
      words.push_back(finding.rule + " | " + finding.database + " | " + finding.schema + " | " +
                      finding.object + " | " + finding.message + " | " + finding.fix);
    }
    return words;
  }

  static std::vector<std::string> rules_of(const std::vector<LintFinding>& findings) {
    std::vector<std::string> rules;
    for (const LintFinding& finding : findings) rules.push_back(finding.rule);
    return rules;
  }

  // Runs every fix that is SQL until there is none left, and returns what is found then.
  static std::vector<LintFinding> mend(const std::string& rule, std::vector<LintFinding> findings) {
    for (int round = 0; round < kMaxRounds; ++round) {
      std::set<std::string> done;
      bool mended = false;
      for (const LintFinding& finding : findings) {
        // What drifted is mended by the rules that know more, if there are any.
        if (!finding.fix.ends_with(";") || (finding.rule == "drift" && round == 0) ||
            !done.insert(finding.database + finding.fix).second)
          continue;
        SCOPED_TRACE(rule + " round " + std::to_string(round) + " in " + finding.database + ": " +
                     finding.fix);
        run_fix(finding);
        mended = true;
      }
      if (!mended && round > 0) break;
      findings = lint();
      if (findings.empty()) break;
    }
    return findings;
  }

  static void break_and_mend(const Break& broken) {
    SCOPED_TRACE(std::string(broken.rule) + ": " + broken.sql);
    run_in(broken.where, filled_in(broken.sql));
    auto findings = lint_for(broken);
    EXPECT_THAT(rules_of(findings), Contains(broken.rule)) << ::testing::PrintToString(words_of(findings));
    for (const LintFinding& finding : findings) {
      EXPECT_FALSE(finding.message.empty());
      EXPECT_FALSE(finding.fix.empty()) << finding.rule;
    }
    if (*broken.undo != '\0') {
      run_in(broken.where, filled_in(broken.undo));
      findings = lint();
    } else {
      findings = mend(broken.rule, std::move(findings));
    }
    // Every later case would report it, too.
    ASSERT_THAT(words_of(findings), IsEmpty());
  }

  // Each part is a suite, and so a process, of its own.
  static void break_and_mend(std::size_t part) {
    for (std::size_t i = part; i < kBreaks.size() && !HasFatalFailure(); i += kParts)
      break_and_mend(kBreaks[i]);
  }

  static inline std::unique_ptr<Linter> linter_;
  static inline std::shared_ptr<const Tenant> schema_, other_, own_;
};

class LintBreaksA : public Lint {};
class LintBreaksB : public Lint {};
class LintBreaksC : public Lint {};
class LintAfterRestart : public Lint {};

TEST_F(LintBreaksA, EveryRuleFiresAndItsFixMends) { break_and_mend(0); }
TEST_F(LintBreaksB, EveryRuleFiresAndItsFixMends) { break_and_mend(1); }
TEST_F(LintBreaksC, EveryRuleFiresAndItsFixMends) { break_and_mend(2); }

TEST_F(Lint, AFreshInstallationIsClean) { EXPECT_THAT(words_of(lint()), IsEmpty()); }

TEST_F(Lint, EveryRuleHasABreakingCase) {
  std::set<std::string_view> broken;
  for (const Break& entry : kBreaks) broken.insert(entry.rule);
  broken.insert("prepared-transaction");  // LintAfterRestart
  for (const RuleInfo& rule : lint_rules()) EXPECT_TRUE(broken.contains(rule.name)) << rule.name;
}

// Servers are made without room for prepared transactions.
TEST_F(LintAfterRestart, APreparedTransactionThatNobodyEnded) {
  run_in(Where::server, "ALTER SYSTEM SET max_prepared_transactions = 2");
  const int postmaster = testing::server().postmaster_pid();
  ASSERT_EQ(kill(postmaster, SIGINT), 0);
  ASSERT_TRUE(eventually([&] {
    return testing::server().state() == pg::ServerState::ready &&
           testing::server().postmaster_pid() != postmaster;
  }));
  run_in(Where::pool, "BEGIN;\nSELECT pg_catalog.pg_current_xact_id();\nPREPARE TRANSACTION 'lost'");
  auto findings = lint();
  EXPECT_THAT(rules_of(findings), ::testing::ElementsAre("prepared-transaction"));
  EXPECT_THAT(words_of(mend("prepared-transaction", std::move(findings))), IsEmpty());
}

// Else LintBreaks would not prove that whatever breaks a rule makes a schema unlike the others.
TEST_F(Lint, SchemasOfAPoolAreAlike) {
  const std::string database = pool_database_name("mini");
  auto session = run(cluster().administrator(database, testing::patient()));
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(run(session->script("BEGIN READ ONLY", testing::patient())).ok());
  ASSERT_TRUE(run(use_catalog_search_path(*session, testing::patient())).ok());
  std::vector<SchemaScope> scopes;
  for (const std::string& schema :
       {std::string("app"), schema_->placement.schema, other_->placement.schema}) {
    SchemaScope scope;
    scope.schema = schema;
    scope.runtime_role = "tenant_service";
    scopes.push_back(std::move(scope));
  }
  const auto tables = run(read_looks(*session, scopes, LookHalf::tables, testing::patient()));
  const auto rest = run(read_looks(*session, scopes, LookHalf::rest, testing::patient()));
  ASSERT_TRUE(tables.ok() && rest.ok());
  EXPECT_THAT(group_by_look(scopes, *tables, *rest), ::testing::ElementsAre(AlikeSchemas({0, 1, 2})));
}

// One finding for each, not for those alone that were looked at for all.
TEST_F(Lint, WhatIsWrongInAllIsFoundInAll) {
  std::set<std::string> schemas;
  testing::BlockingSql connection(testing::superuser(pool_database_name("mini")));
  for (const std::string& row : {std::string("app"), schema_->placement.schema, other_->placement.schema})
    schemas.insert(row);
  LintRequest request;
  request.databases.push_back(pool_database_name("mini"));
  const std::string each =
      "DO $$ DECLARE name text; BEGIN FOR name IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname "
      "= 'app' OR "
      "nspname ~ '^t_.*_[0-9a-f]{12}$' LOOP EXECUTE pg_catalog.format('ALTER TABLE %I.leads @what@ ROW LEVEL "
      "SECURITY', name); END LOOP; END $$";
  const auto in_each = [&](const std::string& what) {
    std::string sql = each;
    connection.run(sql.replace(sql.find("@what@"), 6, what));
  };
  in_each("NO FORCE");
  std::set<std::string> found;
  for (const LintFinding& finding : lint(request)) {
    EXPECT_EQ(finding.rule, "row-security-off");
    EXPECT_TRUE(found.insert(finding.schema).second) << finding.schema;
  }
  EXPECT_EQ(found.size(), 4U);
  EXPECT_TRUE(std::ranges::includes(found, schemas));
  in_each("FORCE");
  EXPECT_THAT(words_of(lint()), IsEmpty());
}

TEST_F(Lint, OneDatabaseAlone) {
  run_in(Where::pool, "CREATE TABLE public.stray (id int)");
  run_in(Where::own_database, "CREATE TABLE public.stray (id int)");
  LintRequest request;
  request.databases.push_back(own_->placement.database);
  const auto findings = lint(request);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].rule, "object-outside-packs");
  EXPECT_EQ(findings[0].database, own_->placement.database);
  EXPECT_EQ(findings[0].schema, "public");
  EXPECT_EQ(findings[0].object, "stray");
  run_in(Where::pool, "DROP TABLE public.stray");
  run_in(Where::own_database, "DROP TABLE public.stray");
}

TEST_F(Lint, ADatabaseOfNobodyIsNotFound) {
  Linter linter(cluster(), node().platform);
  LintRequest request;
  request.databases.emplace_back("postgres");
  const auto report = run(linter.run(std::move(request), testing::patient()));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::not_found);
}

TEST_F(Lint, TheLastRunIsKept) {
  Linter linter(cluster(), node().platform);
  const auto report = run(linter.run(LintRequest(), testing::patient()));
  ASSERT_TRUE(report.ok());
  const auto last = run(linter.last(testing::patient()));
  ASSERT_TRUE(last.ok() && last->has_value());
  EXPECT_EQ((*last)->errors, 0);
  EXPECT_EQ((*last)->databases, 3);
  EXPECT_EQ((*last)->schemas, 6);
  EXPECT_FALSE((*last)->finished_at.empty());
}

}  // namespace
}  // namespace rowhouse::tenancy
