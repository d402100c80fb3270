// Each way to break the code of before, and changes that break nothing, as the scratch database sees them.
#include "tenancy/breaking_changes.h"

#include <gmock/gmock.h>

#include <memory>

#include "tenancy/pack_fixture.h"
#include "tenancy/scratch_check.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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
  EXPECT_THAT(check("CREATE TABLE calls (tenant_id uuid NOT NULL, id int, PRIMARY KEY (tenant_id, id));"
                    "DROP FUNCTION lead_total(numeric); CREATE FUNCTION lead_total(minimum numeric, more int "
                    "DEFAULT 1) "
                    "RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) FROM leads l WHERE l.value "
                    ">= minimum)"),
              ElementsAre("breaking-removal function lead_total(minimum numeric)"));
}

TEST_F(BreakingChanges, OtherTypesAreNotUnderstood) {
  EXPECT_THAT(check("ALTER TABLE notes ALTER COLUMN body TYPE varchar(100)"),
              ElementsAre("breaking-type column notes.body"));
}

TEST_F(BreakingChanges, NewRulesRefuseWhatOldCodeWrites) {
  EXPECT_THAT(check("ALTER TABLE notes ALTER COLUMN body SET NOT NULL"),
              ElementsAre("breaking-not-null column notes.body"));
  EXPECT_THAT(check("ALTER TABLE notes ADD COLUMN colour text NOT NULL"),
              ElementsAre("breaking-not-null column notes.colour"));
  EXPECT_THAT(check("ALTER TABLE notes ADD CONSTRAINT body_given CHECK (body <> '')"),
              ElementsAre("breaking-constraint check notes.body_given"));
  EXPECT_THAT(check("ALTER TABLE notes ADD CONSTRAINT one_body UNIQUE (tenant_id, body)"),
              ElementsAre("breaking-constraint unique notes.one_body"));
  EXPECT_THAT(check("CREATE UNIQUE INDEX one_body ON notes (tenant_id, body)"),
              ElementsAre("breaking-constraint unique notes.one_body"));
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
                    "CREATE FUNCTION rank_sum() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT sum(rank) "
                    "FROM notes)"),
              IsEmpty());
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
