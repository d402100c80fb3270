#include <gtest/gtest.h>

#include "base/effects.h"
#include "pg/pool.h"
#include "testing/postgres.h"

namespace rowhouse::pg {
namespace {

using testing::patient;

class Recorder final : public EffectGuard {
 public:
  std::string label() const override { return "label of a test"; }
  Task<Result<void>> admit() override {
    seen.emplace_back("admit");
    if (refuse == "admit") co_return refusal();
    co_return Result<void>();
  }
  Task<Result<void>> around(Moment moment, std::string_view effect) override {
    seen.push_back((moment == Moment::before ? "before " : "after ") + std::string(effect));
    if (seen.back() == refuse) co_return refusal();
    co_return Result<void>();
  }

  std::string refuse;
  std::vector<std::string> seen;

 private:
  static Error refusal() { return Error(ErrorCode::cancelled, "refused"); }
};

class EffectsTest : public testing::PgTest {
 protected:
  EffectsTest() { sql().run("CREATE TABLE notes (body text UNIQUE)"); }

  CallOptions watched() { return CallOptions{patient().deadline, nullptr, &guard_}; }
  Result<Session> connected() { return run(connect(executor(), testing::superuser(database()), watched())); }
  std::string count() { return sql().value("SELECT count(*) FROM notes"); }
  using Seen = std::vector<std::string>;

  Recorder guard_;
  const Statement insert_{"INSERT INTO notes VALUES ('a secret')", {}, Access::write, Reuse::once};
};

TEST_F(EffectsTest, SessionsAreMarkedAndAdmitted) {
  auto session = connected();
  ASSERT_TRUE(session.ok());
  const Statement ask("SELECT current_setting('application_name')");
  const auto name = run(session->query(ask, patient()));
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->text(0, 0), "label of a test");
  EXPECT_EQ(guard_.seen, Seen({"admit"}));

  guard_.refuse = "admit";
  const auto refused = connected();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::cancelled);
}

TEST_F(EffectsTest, LentSessionsAreMarkedUntilTheyAreGivenBack) {
  PoolOptions options;
  options.parameters = testing::superuser(database());
  options.exclusive_connections = 1;
  Pool one(executor(), options);
  const Statement ask("SELECT current_setting('application_name')");
  {
    auto session = run(one.acquire(watched()));
    ASSERT_TRUE(session.ok());
    const auto name = run(session->query(ask, patient()));
    ASSERT_TRUE(name.ok());
    EXPECT_EQ(name->text(0, 0), "label of a test");
  }
  auto next = run(one.acquire(patient()));
  ASSERT_TRUE(next.ok());
  const auto name = run(next->query(ask, patient()));
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->text(0, 0), "rowhouse");
}

TEST_F(EffectsTest, EachStatementIsOne) {
  auto session = connected();
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE(run(session->begin(nullptr, watched())).ok());
  ASSERT_TRUE(run(session->query(insert_, watched())).ok());
  ASSERT_TRUE(run(session->commit(watched())).ok());
  const std::string script = "CREATE SCHEMA one; CREATE SCHEMA two";
  ASSERT_TRUE(run(session->script(script, watched())).ok());
  ASSERT_TRUE(run(session->rollback(watched())).ok());
  const Statement remove("DELETE FROM notes", {}, Access::write);
  ASSERT_TRUE(run(pool().run(nullptr, remove, watched())).ok());
  EXPECT_EQ(guard_.seen,
            Seen({"admit", "before BEGIN", "after BEGIN", "before INSERT INTO", "after INSERT INTO",
                  "before COMMIT", "after COMMIT", "before CREATE SCHEMA", "after CREATE SCHEMA",
                  "before ROLLBACK", "after ROLLBACK", "admit", "before DELETE FROM", "after DELETE FROM"}));
}

// On a connection that others share, nobody could end what comes late.
TEST_F(EffectsTest, AStatementOfAPoolHasASessionOfItsOwn) {
  const Statement name("INSERT INTO notes SELECT current_setting('application_name') RETURNING body", {},
                       Access::write);
  const auto marked = run(pool().run(nullptr, name, watched()));
  ASSERT_TRUE(marked.ok()) << marked.error().message;
  EXPECT_EQ(marked->text(0, 0), "label of a test");
  EXPECT_EQ(guard_.seen, Seen({"admit", "before INSERT INTO", "after INSERT INTO"}));
  const auto unwatched = run(pool().run(nullptr, name, patient()));
  ASSERT_TRUE(unwatched.ok());
  EXPECT_EQ(unwatched->text(0, 0), "rowhouse");

  guard_.refuse = "admit";
  EXPECT_FALSE(run(pool().run(nullptr, insert_, watched())).ok());
  EXPECT_EQ(count(), "2");
}

TEST_F(EffectsTest, AStatementThatOnlyReadsMayComeLate) {
  const Statement name("SELECT current_setting('application_name')");
  const auto read = run(pool().run(nullptr, name, watched()));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->text(0, 0), "rowhouse");
  EXPECT_EQ(guard_.seen, Seen({"before read SELECT", "after read SELECT"}));
}

TEST_F(EffectsTest, WhatIsRefusedBeforeDoesNotHappen) {
  auto session = connected();
  ASSERT_TRUE(session.ok());
  guard_.refuse = "before INSERT INTO";
  const auto refused = run(session->query(insert_, watched()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::cancelled);
  EXPECT_FALSE(run(pool().run(nullptr, insert_, watched())).ok());
  EXPECT_EQ(count(), "0");
}

TEST_F(EffectsTest, AnErrorAfterwardsTakesThePlaceOfTheAnswer) {
  auto session = connected();
  ASSERT_TRUE(session.ok());
  guard_.refuse = "after INSERT INTO";
  EXPECT_FALSE(run(session->query(insert_, watched())).ok());
  EXPECT_EQ(count(), "1");
  guard_.seen.clear();
  const auto twice = run(pool().run(nullptr, insert_, watched()));
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, ErrorCode::conflict) << "its own error";
  EXPECT_EQ(guard_.seen, Seen({"admit", "before INSERT INTO"}));
}

}  // namespace
}  // namespace rowhouse::pg
