#include "pg/pool.h"

#include <gtest/gtest.h>

#include "pg/listener.h"
#include "testing/postgres.h"

namespace rowhouse::pg {
namespace {

using namespace std::chrono_literals;
using testing::patient;
using testing::TransactionContextForTests;

constexpr const char* kFirst = "00000000-0000-4000-8000-000000000001";
constexpr const char* kSecond = "00000000-0000-4000-8000-000000000002";

// What a database with tenants has, as far as a pool is concerned: takes a context that is signed as
// transaction_context.h says, for this backend, with its next number.
constexpr const char* kSetContextStub = R"sql(
CREATE SCHEMA rowhouse;
CREATE SEQUENCE rowhouse.numbers CACHE 1000;
CREATE FUNCTION rowhouse.context_number() RETURNS bigint LANGUAGE sql AS
  $$SELECT nextval('rowhouse.numbers')$$;
CREATE FUNCTION rowhouse.set_context(key_id integer, claims text, expires_at timestamptz, mac bytea)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF key_id <> 7 OR mac <> sha256(convert_to(repeat('k', 64), 'UTF8') || int4send(4)
       || int4send(25) || int4send(octet_length(claims)) || convert_to(claims, 'UTF8') || int4send(1184) || int4send(8) || timestamptz_send(expires_at)
       || int4send(20) || int4send(8) || int8send(rowhouse.context_number()) || int4send(23) || int4send(4) || int4send(pg_backend_pid()))
     OR claims !~ '^rowhouse_context_[0-9a-f]{72}$'
     OR expires_at < now() THEN
    RAISE insufficient_privilege;
  END IF;
  PERFORM set_config('test.tenant', substr(claims, 18, 32)::uuid::text, true);
END $$;
)sql";

TransactionContext context_of(const char* tenant) {
  auto key = std::make_shared<ContextKey>();
  key->id = 7;
  key->bytes = std::string(kContextKeyBytes, 'k');
  return TransactionContextForTests::make(Uuid::parse(tenant).value(), std::move(key));
}

Statement reading(std::string sql, Params params = {}) {
  return Statement(std::move(sql), std::move(params));
}

class PoolTest : public testing::PgTest {
 protected:
  PoolTest() {
    sql().run("CREATE TABLE notes (tenant text, body text UNIQUE)");
    sql().run(kSetContextStub);
  }

  PoolOptions options() {
    PoolOptions options;
    options.parameters = testing::superuser(database());
    options.session_check = "SELECT true, rowhouse.context_number()";
    options.read_connections = 1;
    options.write_connections = 2;
    options.exclusive_connections = 2;
    return options;
  }
  Result<Rows> query(Pool& target, const Statement& statement, const TransactionContext* context = nullptr) {
    return run(target.run(context, statement, patient()));
  }
  std::string text(Pool& target, const std::string& sql, const TransactionContext* context = nullptr) {
    const auto rows = query(target, reading(sql), context);
    EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().message);
    return rows.ok() && rows->size() == 1 ? std::string(rows->text(0, 0)) : "";
  }
  // Lets the loop run until then, or until it hangs.
  void wait_until(const std::function<bool()>& condition) {
    const auto look = [&]() -> Task<void> {
      const Deadline deadline = deadline_in(30s);
      while (!condition() && std::chrono::steady_clock::now() < deadline)
        co_await net::sleep_for(executor(), 5ms);
    };
    run(look());
    EXPECT_TRUE(condition());
  }
};

TEST_F(PoolTest, ReturnsValuesNullsAndCounts) {
  const auto rows = query(pool(), reading("SELECT 'a' AS x, NULL::int AS y, $1::int AS z", {"7"}));
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->columns(), 3U);
  EXPECT_EQ(rows->column_name(2), "z");
  EXPECT_EQ(rows->text(0, 0), "a");
  EXPECT_TRUE(rows->is_null(0, 1));
  EXPECT_EQ(rows->value(0, 1), std::nullopt);
  EXPECT_EQ(rows->value(0, 2), "7");
}

TEST_F(PoolTest, ContextLastsForItsOwnRequestOnly) {
  Pool one(executor(), options());
  const auto token = context_of(kFirst);
  const std::string ask = "SELECT coalesce(current_setting('test.tenant', true), '')";
  EXPECT_EQ(text(one, ask, &token), kFirst);
  EXPECT_EQ(text(one, ask), "");
  EXPECT_EQ(one.stats().open_connections, 1U);
}

TEST_F(PoolTest, ARequestWhoseContextIsRefusedIsRunOnAnotherConnection) {
  Pool one(executor(), options());
  const auto token = context_of(kFirst);
  const std::string backend = "SELECT pg_backend_pid()::text";
  const std::string before = text(one, backend, &token);
  // Somebody spoils the session: every further context will be refused there.
  text(one, "SELECT rowhouse.context_number()::text");
  const std::string after = text(one, backend, &token);
  EXPECT_NE(after, "");
  EXPECT_NE(after, before);
}

TEST_F(PoolTest, AContextThatNobodyAcceptsIsAnErrorOfOurs) {
  Pool one(executor(), options());
  auto key = std::make_shared<ContextKey>();
  key->id = 7;
  key->bytes = std::string(kContextKeyBytes, 'w');
  const auto token = TransactionContextForTests::make(Uuid::parse(kFirst).value(), std::move(key));
  const auto rows = query(one, reading("SELECT 1"), &token);
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().code, ErrorCode::internal);
  EXPECT_EQ(rows.error().detail(kContextRefused), "yes");
  EXPECT_EQ(text(one, "SELECT 1"), "1");
}

TEST_F(PoolTest, AConnectionIsNotUsedAgainAfterWhatNoStatementOfOursDoes) {
  Pool one(executor(), options());
  const std::string backend = "SELECT pg_backend_pid()::text";
  const std::string first = text(one, backend);
  ASSERT_FALSE(query(one, reading("SELECT 1 / 0")).ok());
  EXPECT_EQ(text(one, backend), first) << "an ordinary error leaves nothing behind";
  for (const char* strange : {"SELECT * FROM nowhere", "SELECT 1 +", "ROLLBACK TO SAVEPOINT nothing"}) {
    const std::string before = text(one, backend);
    ASSERT_FALSE(query(one, reading(strange)).ok()) << strange;
    EXPECT_NE(text(one, backend), before) << strange;
  }
}

TEST_F(PoolTest, AnErrorLeavesTheRequestsBehindItAlone) {
  Pool one(executor(), options());
  const auto first = context_of(kFirst);
  const auto second = context_of(kSecond);
  int good = 0;
  int failed = 0;
  const auto ask = [&](const TransactionContext& token, bool fails) -> Task<void> {
    const std::string good_sql = "SELECT current_setting('test.tenant')";
    const std::string bad_sql = "SELECT 1 / (length(current_setting('test.tenant')) - 36)";
    const Statement statement = reading(fails ? bad_sql : good_sql);
    const auto rows = co_await one.run(&token, statement, patient());
    if (fails) {
      failed += rows.ok() ? 0 : 1;
    } else if (rows.ok() && rows->text(0, 0) == token.tenant().to_string()) {
      ++good;
    }
  };
  const auto all = [&]() -> Task<void> {
    net::TaskGroup group;
    for (int i = 0; i < 300; ++i) group.spawn(ask(i % 2 == 0 ? first : second, i % 10 == 3));
    co_await group.join();
  };
  run(all());
  EXPECT_EQ(failed, 30);
  EXPECT_EQ(good, 270);
}

TEST_F(PoolTest, NamesTheParameterThatItsTypeRefused) {
  const auto rows = query(pool(), reading("SELECT $1::int, $2::inet", {"1", "nowhere"}));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(rows.error().detail(kParameter), "2");
  EXPECT_EQ(rows.error().message.find("nowhere"), std::string::npos);
}

TEST_F(PoolTest, TellsAConflict) {
  ASSERT_TRUE(query(pool(), Statement("INSERT INTO notes VALUES ('a', 'x')", {}, Access::write)).ok());
  const auto again = query(pool(), Statement("INSERT INTO notes VALUES ('a', 'x')", {}, Access::write));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  EXPECT_EQ(again.error().detail(kConstraint), "notes_body_key");
}

TEST_F(PoolTest, PreparesAnewWhenAColumnChangedItsType) {
  Pool one(executor(), options());
  sql().run("INSERT INTO notes VALUES ('a', '12')");
  EXPECT_EQ(text(one, "SELECT body FROM notes"), "12");
  sql().run("ALTER TABLE notes ALTER body TYPE int USING body::int");
  EXPECT_EQ(text(one, "SELECT body FROM notes"), "12");
}

TEST_F(PoolTest, KeepsFewPreparedStatements) {
  PoolOptions few = options();
  few.max_statements = 5;
  Pool one(executor(), few);
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(text(one, "SELECT " + std::to_string(i % 20)), std::to_string(i % 20));
  // Those, and the one that sets the context.
  EXPECT_EQ(text(one, "SELECT count(*) <= 6 FROM pg_prepared_statements"), "t");
}

TEST_F(PoolTest, GivesUpOnTimeAndServesTheNext) {
  Pool one(executor(), options());
  const Statement slow = reading("SELECT pg_sleep(30)");
  const auto late = run(one.run(nullptr, slow, CallOptions{deadline_in(100ms)}));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::statement_timeout);
  EXPECT_EQ(text(one, "SELECT 1"), "1");
}

TEST_F(PoolTest, ACallerThatGoesAwayCancelsItsStatementAndNoOther) {
  Pool one(executor(), options());
  CancelSource gone;
  const Statement slow = reading("SELECT pg_sleep(30)");
  const Statement counted = reading("SELECT 'here'");
  int answers = 0;
  const auto leave = [&]() -> Task<void> {
    const CallOptions cancellable{deadline_in(60s), &gone};
    const auto rows = co_await one.run(nullptr, slow, cancellable);
    EXPECT_EQ(rows.ok() ? ErrorCode::internal : rows.error().code, ErrorCode::cancelled);
  };
  const auto stay = [&]() -> Task<void> {
    const auto rows = co_await one.run(nullptr, counted, patient());
    if (rows.ok() && rows->text(0, 0) == "here") ++answers;
  };
  const auto all = [&]() -> Task<void> {
    net::TaskGroup group;
    group.spawn(leave());
    for (int i = 0; i < 20; ++i) group.spawn(stay());
    const Statement runs = reading(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' "
        "AND state = 'active'");
    // The server runs it; only then is there something to cancel.
    bool running = false;
    for (const Deadline deadline = patient().deadline;
         !running && std::chrono::steady_clock::now() < deadline;) {
      const auto rows = co_await pool().run(nullptr, runs, patient());
      running = rows.ok() && rows->text(0, 0) == "1";
    }
    EXPECT_TRUE(running);
    gone.cancel();
    co_await group.join();
  };
  run(all());
  EXPECT_EQ(answers, 20);
  EXPECT_EQ(
      sql().value(
          "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' "
          "AND pid <> pg_backend_pid()"),
      "0");
}

TEST_F(PoolTest, RefusesWhenTooManyWait) {
  PoolOptions small = options();
  small.read_depth = 1;
  small.max_waiting = 3;
  Pool one(executor(), small);
  int refused = 0;
  const Statement statement = reading("SELECT pg_sleep(0.05)");
  const auto ask = [&]() -> Task<void> {
    const auto rows = co_await one.run(nullptr, statement, patient());
    if (!rows.ok() && rows.error().code == ErrorCode::overloaded) ++refused;
  };
  const auto all = [&]() -> Task<void> {
    net::TaskGroup group;
    for (int i = 0; i < 10; ++i) group.spawn(ask());
    co_await group.join();
  };
  run(all());
  EXPECT_EQ(refused, 7);
}

TEST_F(PoolTest, SaysThatTheDatabaseIsNotThere) {
  PoolOptions wrong = options();
  wrong.parameters.host = "/nonexistent";
  Pool one(executor(), wrong);
  const auto rows = query(one, reading("SELECT 1"));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().code, ErrorCode::database_unavailable);
  const auto session = run(one.acquire(patient()));
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code, ErrorCode::database_unavailable);
}

constexpr const char* kEndOtherSessions =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    "pg_backend_pid()";

TEST_F(PoolTest, ConnectsAgainAfterTheServerCutIt) {
  Pool one(executor(), options());
  EXPECT_EQ(text(one, "SELECT 1"), "1");
  sql().run(kEndOtherSessions);
  // The loss is noticed at the latest by the request that meets it.
  const auto met = query(one, reading("SELECT 2"));
  EXPECT_TRUE(met.ok() || met.error().code == ErrorCode::database_unavailable);
  EXPECT_EQ(text(one, "SELECT 3"), "3");
}

TEST_F(PoolTest, AnswersEveryoneWhenAllConnectionsEndAtOnce) {
  constexpr int kAskers = 64;
  PoolOptions many = options();
  many.read_connections = 8;
  many.read_depth = 4;
  for (int round = 0; round < 8; ++round) {
    Pool one(executor(), many);
    int answers = 0, finished = 0;
    const auto ask = [&]() -> Task<void> {
      const Statement statement = reading("SELECT pg_sleep(0.001)");
      for (int i = 0; i < 20; ++i) {
        std::ignore = co_await one.run(nullptr, statement, patient());
        // While the thread waits for this, all connections end.
        if (++answers == 4 * kAskers) sql().run(kEndOtherSessions);
      }
      ++finished;
    };
    net::TaskGroup group;
    for (int i = 0; i < kAskers; ++i) group.spawn(ask());
    wait_until([&] { return finished == kAskers; });
    ASSERT_EQ(finished, kAskers) << "round " << round;
    run(group.join());
  }
}

TEST_F(PoolTest, RefusesARoleThatFailsTheCheck) {
  PoolOptions checked = options();
  checked.session_check = "SELECT NOT rolsuper, 0 FROM pg_roles WHERE rolname = current_user";
  Pool one(executor(), checked);
  const auto rows = query(one, reading("SELECT 1"));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().code, ErrorCode::database_unavailable);
  EXPECT_FALSE(run(one.acquire(patient())).ok());
}

// -------------------------------------------------------------------------------------------------------
// sessions

TEST_F(PoolTest, ASessionCommits) {
  const auto work = [&]() -> Task<void> {
    auto session = co_await pool().acquire(patient());
    EXPECT_TRUE(session.ok());
    const auto token = context_of(kFirst);
    EXPECT_TRUE((co_await session->begin(&token, patient())).ok());
    const Statement insert("INSERT INTO notes VALUES (current_setting('test.tenant'), 'kept')");
    EXPECT_TRUE((co_await session->query(insert, patient())).ok());
    EXPECT_TRUE((co_await session->commit(patient())).ok());
  };
  run(work());
  EXPECT_EQ(sql().value("SELECT tenant FROM notes WHERE body = 'kept'"), kFirst);
}

TEST_F(PoolTest, ASessionThatIsDroppedRollsBack) {
  Pool one(executor(), options());
  const auto work = [&]() -> Task<void> {
    auto session = co_await one.acquire(patient());
    EXPECT_TRUE((co_await session->begin(nullptr, patient())).ok());
    const Statement insert("INSERT INTO notes VALUES ('a', 'lost')");
    EXPECT_TRUE((co_await session->query(insert, patient())).ok());
  };
  run(work());
  const auto next = [&]() -> Task<void> {
    auto session = co_await one.acquire(patient());
    EXPECT_TRUE(session.ok());
    const Statement count("SELECT count(*) FROM notes");
    const auto rows = co_await session->query(count, patient());
    EXPECT_EQ(rows->text(0, 0), "0");
  };
  run(next());
}

TEST_F(PoolTest, CommitOfAFailedTransactionIsNoSuccess) {
  const auto work = [&]() -> Task<void> {
    auto session = co_await pool().acquire(patient());
    EXPECT_TRUE((co_await session->begin(nullptr, patient())).ok());
    const Statement bad("SELECT 1 / 0");
    EXPECT_FALSE((co_await session->query(bad, patient())).ok());
    EXPECT_FALSE((co_await session->commit(patient())).ok());
  };
  run(work());
}

TEST_F(PoolTest, TheNextBorrowerFindsNothingOfTheLast) {
  PoolOptions single = options();
  single.exclusive_connections = 1;
  Pool one(executor(), single);
  const auto leave = [&]() -> Task<void> {
    auto session = co_await one.acquire(patient());
    const std::string litter =
        "SET test.tenant = 'mine'; CREATE TEMP TABLE litter (a int); PREPARE left_over AS SELECT 1; "
        "DECLARE left_open CURSOR WITH HOLD FOR SELECT 1";
    EXPECT_TRUE((co_await session->script(litter, patient())).ok());
  };
  const auto look = [&]() -> Task<void> {
    auto session = co_await one.acquire(patient());
    const Statement ask(
        "SELECT coalesce(current_setting('test.tenant', true), '') || (SELECT count(*) FROM "
        "pg_prepared_statements) || "
        "(SELECT count(*) FROM pg_cursors WHERE name = 'left_open') || "
        "coalesce(to_regclass('pg_temp.litter')::text, '-')");
    const auto rows = co_await session->query(ask, patient());
    EXPECT_TRUE(rows.ok());
    EXPECT_EQ(rows->text(0, 0), "00-");
  };
  run(leave());
  run(look());
}

TEST_F(PoolTest, BorrowersWaitForTheirTurn) {
  PoolOptions single = options();
  single.exclusive_connections = 1;
  Pool one(executor(), single);
  int done = 0;
  const Statement statement = reading("SELECT 1");
  const auto work = [&]() -> Task<void> {
    auto session = co_await one.acquire(patient());
    const auto rows = co_await session->query(statement, patient());
    if (rows.ok()) ++done;
  };
  const auto all = [&]() -> Task<void> {
    net::TaskGroup group;
    for (int i = 0; i < 10; ++i) group.spawn(work());
    co_await group.join();
  };
  run(all());
  EXPECT_EQ(done, 10);
  EXPECT_LE(one.stats().open_connections, 1U);
}

TEST_F(PoolTest, ASessionsStatementEndsAtItsDeadline) {
  const auto work = [&]() -> Task<void> {
    auto session = co_await pool().acquire(patient());
    const Statement slow("SELECT pg_sleep(30)");
    const CallOptions impatient{deadline_in(100ms)};
    const auto late = co_await session->query(slow, impatient);
    EXPECT_FALSE(late.ok());
    EXPECT_EQ(late.error().code, ErrorCode::statement_timeout);
    const Statement after("SELECT 1");
    EXPECT_TRUE((co_await session->query(after, patient())).ok());
  };
  run(work());
}

TEST_F(PoolTest, CopyToTheClientIsRefused) {
  const auto work = [&]() -> Task<void> {
    auto session = co_await pool().acquire(patient());
    const std::string copy = "COPY notes FROM STDIN";
    EXPECT_FALSE((co_await session->script(copy, patient())).ok());
  };
  run(work());
}

// -------------------------------------------------------------------------------------------------------
// listener

TEST_F(PoolTest, AListenerHearsAndComesBack) {
  std::vector<std::string> heard;
  int connected = 0;
  Listener listener(
      executor(), testing::superuser(database()), "news",
      [&](std::string_view payload) { heard.emplace_back(payload); }, [&] { ++connected; });
  wait_until([&] { return connected == 1; });
  sql().run("NOTIFY news, 'first'");
  wait_until([&] { return heard.size() == 1; });
  sql().run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'");
  wait_until([&] { return connected == 2; });
  sql().run("NOTIFY news, 'second'");
  wait_until([&] { return heard.size() == 2; });
  EXPECT_EQ(connected, 2);
  EXPECT_EQ(heard, (std::vector<std::string>{"first", "second"}));
}

}  // namespace
}  // namespace rowhouse::pg
