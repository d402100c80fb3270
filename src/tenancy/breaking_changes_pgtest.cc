// Each way to break the code of before, and changes that break nothing, as the scratch database sees them.
#include "tenancy/breaking_changes.h"

#include <gmock/gmock.h>

#include <memory>

#include "tenancy/pack_fixture.h"
#include "tenancy/scratch_check.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr std::size_t kReleased = 2;

class BreakingChanges : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = std::make_unique<Shared>();
    ASSERT_TRUE(run(shared_->cluster.bootstrap(testing::patient())).ok());
  }
  static void TearDownTestSuite() { shared_.reset(); }

  template <class T>
  static T run(Task<T> task) {
    return net::run_until_done(shared_->executor, std::move(task));
  }

  static Bundle bundle(std::vector<std::string> more) {
    std::vector<std::string> migrations;
    migrations.emplace_back(fixture::kTables);
    migrations.emplace_back(fixture::kViews);
    for (std::string& sql : more) migrations.push_back(std::move(sql));
    return fixture::bundle(std::move(migrations), fixture::manifest_document());
  }

  // "rule object" of each finding about what is new.
  static std::vector<std::string> check(std::vector<std::string> more, ScratchUpgrade upgrade) {
    const Bundle checked = bundle(std::move(more));
    auto name = run(new_scratch_name(shared_->cluster, testing::patient()));
    EXPECT_TRUE(name.ok());
    const auto findings =
        run(check_in_scratch(shared_->cluster, *name, checked, upgrade, testing::patient()));
    EXPECT_TRUE(findings.ok()) << findings.error().message;
    std::vector<std::string> lines;
    if (!findings.ok()) return lines;
    for (const Finding& finding : *findings) {
      EXPECT_FALSE(finding.message.empty());
      EXPECT_FALSE(finding.fix.empty());
      lines.push_back(finding.rule + " " + finding.object);
    }
    return lines;
  }
  static std::vector<std::string> check(std::string sql, Contract contract = Contract::refused) {
    ScratchUpgrade upgrade;
    upgrade.released = kReleased;
    upgrade.contract = contract;
    std::vector<std::string> more;
    more.push_back(std::move(sql));
    return check(std::move(more), upgrade);
  }

  struct Shared {
    net::Executor executor;
    Cluster cluster{executor, testing::superuser("postgres"), Credentials(std::string(32, 'k'))};
  };
  static inline std::unique_ptr<Shared> shared_;
};

TEST_F(BreakingChanges, WhatIsTakenAwayIsMissed) {
  EXPECT_THAT(check("ALTER TABLE notes DROP COLUMN number"),
              ElementsAre("breaking-removal column notes.number"));
  EXPECT_THAT(check("ALTER TABLE notes RENAME COLUMN number TO place"),
              ElementsAre("breaking-removal column notes.number"));
  EXPECT_THAT(check("ALTER TYPE lead_status RENAME VALUE 'lost' TO 'gone'"),
              ElementsAre("breaking-removal label lead_status.lost"));
  // Whoever imports leads upserts by it.
  EXPECT_THAT(check("ALTER TABLE leads DROP CONSTRAINT leads_email_unique;"
                    "CREATE UNIQUE INDEX by_email ON leads (tenant_id, email, nickname);"
                    "CREATE UNIQUE INDEX by_email_of_some ON leads (tenant_id, email) WHERE value > 0"),
              Contains("breaking-removal unique leads.leads_email_unique"));
}

// Everything of a table goes with it, and is named once.
TEST_F(BreakingChanges, TablesAndViewsThatAreGone) {
  EXPECT_THAT(check("CREATE TABLE moved (tenant_id uuid NOT NULL, id uuid DEFAULT gen_random_uuid(), PRIMARY "
                    "KEY (tenant_id, id));"
                    "ALTER TABLE events RENAME TO happenings; ALTER TABLE moved RENAME TO events"),
              ElementsAre("breaking-removal column events.what"));
  const auto renamed = check("ALTER TABLE notes RENAME TO remarks");
  EXPECT_THAT(renamed, Contains("breaking-removal table notes"));
  EXPECT_THAT(renamed, Not(Contains(HasSubstr("notes."))));
  EXPECT_THAT(
      check("DROP VIEW open_leads; CREATE VIEW open_leads WITH (security_invoker = true, "
            "security_barrier = true) AS SELECT tenant_id, id, created_at, email AS address FROM leads"),
      ElementsAre("breaking-removal column open_leads.email"));
  EXPECT_THAT(check("DROP VIEW open_leads"), Contains("breaking-removal view open_leads"));
}

TEST_F(BreakingChanges, FunctionsThatAreCalledOtherwise) {
  EXPECT_THAT(check("CREATE TABLE calls (tenant_id uuid NOT NULL, id int, PRIMARY KEY (tenant_id, id));"
                    "DROP FUNCTION lead_total(numeric); CREATE FUNCTION lead_total(minimum numeric, more int "
                    "DEFAULT 1) "
                    "RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) FROM leads l WHERE l.value "
                    ">= minimum)"),
              ElementsAre("breaking-removal function lead_total(minimum numeric)"));
  EXPECT_THAT(check("DROP FUNCTION lead_total(numeric); CREATE FUNCTION lead_total(minimum numeric) RETURNS "
                    "integer LANGUAGE sql STABLE RETURN 1"),
              ElementsAre("breaking-type function lead_total(minimum numeric)"));
  EXPECT_THAT(
      check("CREATE OR REPLACE FUNCTION lead_total(minimum numeric) RETURNS bigint LANGUAGE sql STABLE "
            "RETURN 1"),
      IsEmpty());
}

TEST_F(BreakingChanges, OtherTypesAreNotUnderstood) {
  EXPECT_THAT(check("ALTER TABLE notes ALTER COLUMN body TYPE varchar(100), ALTER COLUMN number TYPE bigint;"
                    "ALTER TABLE leads ALTER COLUMN nickname TYPE varchar(10)"),
              UnorderedElementsAre("breaking-type column notes.body", "breaking-type column notes.number",
                                   "breaking-type column leads.nickname"));
}

TEST_F(BreakingChanges, WiderTypesAreNotNoticed) {
  EXPECT_THAT(check("DROP VIEW open_leads; ALTER TABLE leads ALTER COLUMN email TYPE varchar(200);"
                    "CREATE VIEW open_leads WITH (security_invoker = true, security_barrier = true) AS "
                    "SELECT tenant_id, id, email, created_at FROM leads WHERE status = 'new'"),
              IsEmpty());
  EXPECT_THAT(check("DROP VIEW open_leads; ALTER TABLE leads ALTER COLUMN email TYPE text;"
                    "CREATE VIEW open_leads WITH (security_invoker = true, security_barrier = true) AS "
                    "SELECT tenant_id, id, email, created_at FROM leads WHERE status = 'new'"),
              IsEmpty());
  // The wire knows no domains.
  EXPECT_THAT(check("ALTER TABLE leads ALTER COLUMN nickname TYPE varchar(30); DROP DOMAIN short_name"),
              IsEmpty());
}

TEST_F(BreakingChanges, NewRulesRefuseWhatOldCodeWrites) {
  EXPECT_THAT(
      check("ALTER TABLE notes ALTER COLUMN body SET NOT NULL, ADD COLUMN colour text NOT NULL,"
            " ADD CONSTRAINT body_given CHECK (body <> ''), ADD CONSTRAINT one_body UNIQUE (tenant_id, body),"
            " ALTER COLUMN lead_id SET DEFAULT gen_random_uuid(), ALTER COLUMN lead_id SET NOT NULL;"
            "CREATE UNIQUE INDEX one_number ON notes (tenant_id, number);"
            "ALTER TABLE leads ALTER COLUMN status DROP DEFAULT, DROP CONSTRAINT leads_value_check,"
            " ADD CONSTRAINT leads_value_check CHECK (value >= 1);"
            "ALTER TABLE events ADD CONSTRAINT of_lead FOREIGN KEY (tenant_id, id) REFERENCES leads "
            "(tenant_id, id);"
            "ALTER DOMAIN short_name ADD CONSTRAINT no_x CHECK (VALUE <> 'x'); ALTER DOMAIN short_name SET "
            "NOT NULL"),
      UnorderedElementsAre(
          "breaking-not-null column notes.body", "breaking-not-null column notes.colour",
          "breaking-constraint check notes.body_given", "breaking-constraint unique notes.one_body",
          "breaking-not-null column notes.lead_id", "breaking-constraint unique notes.one_number",
          "breaking-not-null column leads.status", "breaking-constraint check leads.leads_value_check",
          "breaking-constraint foreign key events.of_lead", "breaking-constraint check short_name.no_x",
          "breaking-constraint check short_name NOT NULL"));
}

TEST_F(BreakingChanges, WhatIsAddedBreaksNothing) {
  EXPECT_THAT(check("ALTER TABLE notes ADD COLUMN colour text, ADD COLUMN rank int NOT NULL DEFAULT 0 CHECK "
                    "(rank >= 0);"
                    "CREATE INDEX by_rank ON notes (tenant_id, rank); CREATE UNIQUE INDEX one_colour ON "
                    "notes (tenant_id, colour);"
                    "CREATE TABLE calls (tenant_id uuid NOT NULL, id int, what text NOT NULL CHECK (what <> "
                    "''), PRIMARY KEY "
                    "(tenant_id, id)); ALTER TYPE lead_status ADD VALUE 'gone';"
                    "ALTER TABLE leads ALTER COLUMN status DROP NOT NULL, DROP CONSTRAINT leads_value_check;"
                    "ALTER TABLE notes DROP CONSTRAINT notes_lead; DROP INDEX leads_by_created;"
                    "CREATE FUNCTION rank_sum() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT sum(rank) "
                    "FROM notes)"),
              Each(StartsWith("order-not-indexed")));
}

// Constraints under other names, and those that allow more than before.
TEST_F(BreakingChanges, RulesThatAllowMoreBreakNothing) {
  Bundle first =
      bundle({"ALTER TABLE notes ADD COLUMN kind varchar(9) CONSTRAINT kinds CHECK (kind IN ('a', 'b')), ADD "
              "CONSTRAINT "
              "body_size CHECK (char_length(body) <= 100)"});
  const auto check_next = [&](const std::string& sql) {
    ScratchUpgrade upgrade;
    upgrade.released = kReleased + 1;
    std::vector<std::string> more;
    more.push_back(first.migrations.back().sql);
    more.push_back(sql);
    return check(std::move(more), upgrade);
  };
  EXPECT_THAT(
      check_next(
          "ALTER TABLE notes DROP CONSTRAINT kinds, ADD CONSTRAINT kinds CHECK (kind IN ('a', 'b', 'c'));"
          "ALTER TABLE notes DROP CONSTRAINT body_size, ADD CONSTRAINT body_bound CHECK "
          "(char_length(body) <= 200)"),
      IsEmpty());
  EXPECT_THAT(check_next("ALTER TABLE notes DROP CONSTRAINT kinds, ADD CONSTRAINT kinds CHECK (kind IN ('a', "
                         "'c')); ALTER TABLE notes RENAME CONSTRAINT body_size TO body_bound"),
              ElementsAre("breaking-constraint check notes.kinds"));
}

// The same in a first version, when nobody can have code for it.
TEST_F(BreakingChanges, AFirstVersionBreaksNobody) {
  std::vector<std::string> more;
  more.emplace_back("ALTER TABLE notes DROP COLUMN number");
  EXPECT_THAT(check(std::move(more), ScratchUpgrade()), IsEmpty());
}

TEST_F(BreakingChanges, ContractIsDeclaredAndAskedFor) {
  const std::string sql = "-- rowhouse: contract\nALTER TABLE notes DROP COLUMN number";
  EXPECT_THAT(check(sql), ElementsAre("contract-not-asked-for 0003_step"));
  EXPECT_THAT(check(sql, Contract::allowed), IsEmpty());
  EXPECT_THAT(check("ALTER TABLE notes DROP COLUMN number", Contract::allowed),
              ElementsAre("breaking-removal column notes.number"));

  const Bundle declared = bundle({sql});
  EXPECT_TRUE(has_contract(declared, kReleased));
  EXPECT_FALSE(has_contract(declared, kReleased + 1));
  EXPECT_FALSE(has_contract(bundle({" SELECT 1;\n-- rowhouse: contract"}), 0));
}

}  // namespace
}  // namespace rowhouse::tenancy
