#include "audit/trail.h"

#include <gtest/gtest.h>

#include "pg/migrations.h"
#include "testing/postgres.h"

namespace rowhouse::audit {
namespace {

using testing::patient;

class TrailTest : public testing::PgTest {
 protected:
  void SetUp() override {
    const auto migrations = pg::migrations_from_embedded("sql/platform/");
    ASSERT_TRUE(migrations.ok());
    auto session = run(pg::connect(executor(), testing::superuser(database()), patient()));
    ASSERT_TRUE(session.ok());
    const auto migrated = run(pg::run_migrations(*session, *migrations, patient()));
    ASSERT_TRUE(migrated.ok()) << migrated.error().message;
  }

  static SecurityEvent event(std::string detail) {
    SecurityEvent made(SecurityEventKind::feature_access_denied);
    made.detail = std::move(detail);
    made.address = "203.0.113.5:1";
    return made;
  }
  std::string count(const std::string& condition) {
    return sql().value("SELECT count(*) FROM platform.audit_log WHERE " + condition);
  }
};

TEST_F(TrailTest, EventsAreWrittenBesidesTheRequestAndFolded) {
  Trail trail(executor(), pool(), TrailOptions());
  for (int i = 0; i < 1000; ++i) trail.record(event("lead:delete"));
  trail.record(event("export:csv"));
  EXPECT_EQ(count("true"), "0");
  run(trail.stop());
  EXPECT_EQ(count("kind = 'security' AND severity = 'medium' AND action = 'FEATURE_ACCESS_DENIED'"), "2");
  EXPECT_EQ(
      sql().value(
          "SELECT new_values->>'count' FROM platform.audit_log WHERE new_values->>'detail' = 'lead:delete'"),
      "1000");
  trail.record(event("too late"));
  run(trail.stop());
  EXPECT_EQ(count("true"), "2");
}

TEST_F(TrailTest, TheyAreWrittenSoonWithoutBeingAsked) {
  Trail trail(executor(), pool(), TrailOptions());
  trail.record(event("soon"));
  const auto deadline = deadline_in(std::chrono::seconds(30));
  while (count("true") == "0" && std::chrono::steady_clock::now() < deadline) {
    run(net::sleep_for(executor(), std::chrono::milliseconds(10)));
  }
  EXPECT_EQ(count("true"), "1");
  run(trail.stop());
}

TEST_F(TrailTest, TheQueueIsBoundedAndBatchesAre) {
  TrailOptions options;
  options.max_queued = 250;
  Trail trail(executor(), pool(), options);
  for (int i = 0; i < 300; ++i) trail.record(event("event " + std::to_string(i)));
  EXPECT_EQ(trail.dropped(), 50U);
  run(trail.stop());
  EXPECT_EQ(count("kind = 'security'"), "250");
}

TEST_F(TrailTest, TextFromAClientCannotBreakARecord) {
  Trail trail(executor(), pool(), TrailOptions());
  auto hostile = event(std::string("a\0b\xff'\"\\", 7) + std::string(10'000, 'x'));
  hostile.agent = "\xf0\x9f";
  hostile.actor = "'; DROP TABLE platform.audit_log; --";
  hostile.address = "not an address";
  trail.record(hostile);
  trail.record(event("good"));
  run(trail.stop());
  EXPECT_EQ(count("kind = 'security'"), "2");
}

TEST_F(TrailTest, AChangeIsRecordedByItselfToo) {
  Trail trail(executor(), pool(), TrailOptions());
  Change change("admin cli", "pack.installed");
  change.object_type = "pack";
  change.object_id = "tekup";
  change.new_json = R"({"version": "1.0.0"})";
  change.address = "[2001:db8::7]:99";
  const auto written = run(trail.record_change(change, patient()));
  ASSERT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(count("actor = 'admin cli' AND action = 'pack.installed' AND object_id = 'tekup' AND tenant_id "
                  "IS NULL AND "
                  "new_values->>'version' = '1.0.0' AND host(address) = '2001:db8::7' AND kind = 'change' "
                  "AND severity "
                  "= 'info'"),
            "1");
  run(trail.stop());
}

TEST_F(TrailTest, NothingIsEverChanged) {
  Trail trail(executor(), pool(), TrailOptions());
  trail.record(event("kept"));
  run(trail.stop());
  for (const char* attempt : {"UPDATE platform.audit_log SET actor = 'x'", "DELETE FROM platform.audit_log",
                              "TRUNCATE platform.audit_log"}) {
    EXPECT_EQ(sql().failure(attempt), "42501") << attempt;
  }
}

}  // namespace
}  // namespace rowhouse::audit
