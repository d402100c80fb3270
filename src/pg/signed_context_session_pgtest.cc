// The signed tenant context and what sessions keep: plans, cursors, workers, keys, and the implementation
// that is exchanged under them.
#include <array>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/embedded.h"
#include "base/text.h"
#include "pg/quote.h"
#include "pg/signed_context_fixture_pgtest.h"

namespace rowhouse::pg {
namespace {

using testing::RawContext;

constexpr const char* kCount = "SELECT count(*) FROM app.notes";
constexpr const char* kBodies = "SELECT string_agg(DISTINCT body, ',') FROM app.notes";

class ContextSession : public GuardTest {
 protected:
  static ContextKey key(std::int32_t id, char letter) {
    ContextKey key;
    key.id = id;
    key.bytes.assign(kContextKeyBytes, letter);
    return key;
  }
  static std::string insert(const ContextKey& key) {
    return "INSERT INTO rowhouse.context_keys (id, key) VALUES (" + std::to_string(key.id) + ", '\\x" +
           to_hex(key.bytes) + "')";
  }
  // What a session says to a context that `key` signed.
  static std::string complaint(SignedSession& session, const ContextKey& key) {
    RawContext context = session.context(kAlpha);
    context.sign(key, session.sql().backend_pid());
    session.sql().run("BEGIN");
    std::string complaint = session.sql().complaint(context.sql());
    if (complaint.empty()) {
      EXPECT_EQ(session.sql().value(kBodies), "secret of a");
    }
    session.sql().run("ROLLBACK");
    return complaint;
  }
};
INSTANTIATE_TEST_SUITE_P(Guards, ContextSession, ::testing::Values(Guard::portable, Guard::extension),
                         guard_name);

TEST_P(ContextSession, PreparedStatementsAskAgain) {
  for (const char* mode : {"auto", "force_generic_plan", "force_custom_plan"}) {
    SignedSession session(runtime());
    session.sql().run("SET plan_cache_mode = " + std::string(mode));
    session.run(kAlpha, "PREPARE bodies AS " + std::string(kBodies));
    for (int i = 0; i < 7; ++i) {
      EXPECT_EQ(session.value(kAlpha, "EXECUTE bodies"), "secret of a") << mode;
      EXPECT_EQ(session.value(kBeta, "EXECUTE bodies"), "secret of b") << mode;
      EXPECT_EQ(session.sql().value("EXECUTE bodies"), "") << mode;
    }
  }
}

TEST_P(ContextSession, CursorsHoldWhatTheirOwnTenantMaySee) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  session.run(kAlpha, "DECLARE short CURSOR FOR SELECT body FROM app.notes");
  EXPECT_EQ(sql.failure("FETCH short"), "34000");
  // Opened by nobody, it holds nothing, whoever fetches.
  sql.run("BEGIN; DECLARE nobodys CURSOR WITH HOLD FOR SELECT body FROM app.notes; COMMIT");
  EXPECT_EQ(session.value(kBeta, "FETCH nobodys"), "");
  // WITH HOLD is a copy made at COMMIT: it stays in the session until it is closed. That is for the pool,
  // which resets a session between two borrowers (session/tenant_database.cc).
  session.run(kAlpha, "DECLARE kept CURSOR WITH HOLD FOR SELECT body FROM app.notes");
  EXPECT_EQ(session.value(kBeta, "FETCH kept"), "secret of a");
  sql.run("CLOSE ALL");
  EXPECT_EQ(session.failure(kBeta, "FETCH kept"), "34000");
  EXPECT_EQ(session.failure(kAlpha, "CREATE TEMP TABLE kept AS SELECT * FROM app.notes"), kDenied);
  EXPECT_EQ(session.failure(kAlpha, "CREATE TEMP VIEW kept AS SELECT * FROM app.notes"), kDenied);
}

TEST_P(ContextSession, ParallelQueriesSeeTheSameRows) {
  administrator().run(
      "INSERT INTO app.notes SELECT t::uuid, n, 'secret of ' || left(t, 1) FROM generate_series(4, 20003) n, "
      "unnest(ARRAY['" +
      std::string(kAlpha) + "', '" + kBeta + "']) t; ANALYZE app.notes");
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  const std::string force =
      sql.value("SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
  sql.run("SET " + force +
          " = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size "
          "= 0; "
          "SET min_parallel_index_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET "
          "enable_indexscan = off; "
          "SET enable_bitmapscan = off; SET enable_indexonlyscan = off");
  session.begin(kBeta);
  std::string plan;
  for (const auto& row : sql.run("EXPLAIN " + std::string(kBodies))) plan += *row[0] + "\n";
  EXPECT_NE(plan.find("Gather"), std::string::npos) << plan;
  sql.run("COMMIT");
  EXPECT_EQ(session.value(kBeta, kCount), "20003");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
  EXPECT_EQ(session.value(kBeta, "SELECT count(*) FROM app.notes WHERE tenant_id = rowhouse.tenant_id()"),
            "20003");
  EXPECT_EQ(
      session.value(
          kBeta, "SELECT count(DISTINCT rowhouse.tenant_id()) FROM app.notes a JOIN app.notes b USING (id)"),
      "1");
  EXPECT_EQ(session.value(kAlpha, kBodies), "secret of a");
  expect_nothing(sql, "in parallel");
}

TEST_P(ContextSession, CancelledStatementsLeaveNothing) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  const std::string used = session.set_context(kAlpha);
  sql.run("BEGIN; " + used);
  sql.run("SET LOCAL statement_timeout = '20ms'");
  EXPECT_EQ(sql.failure("SELECT count(*) FROM generate_series(1, 1000000000)"), "57014");
  sql.run("ROLLBACK");
  expect_refused(sql, used, "after a timeout");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
  EXPECT_EQ(sql.failure("BEGIN; SET LOCAL statement_timeout = '20ms'; " + session.set_context(kAlpha) +
                        "; SELECT count(*) FROM generate_series(1, 1000000000)"),
            "57014");
  sql.run("ROLLBACK");
  expect_nothing(sql, "after a timeout in the same message");
}

TEST_P(ContextSession, ManySubtransactionsChangeNothing) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  session.begin(kAlpha);
  for (int i = 0; i < 50; ++i) {
    sql.run("SAVEPOINT s" + std::to_string(i));
    sql.run("INSERT INTO app.notes (id, body) VALUES (" + std::to_string(100 + i) + ", 'secret of a')");
    if (i % 2 == 1) sql.run("ROLLBACK TO s" + std::to_string(i));
    EXPECT_EQ(sql.value("SELECT rowhouse.tenant_id()"), kAlpha);
  }
  sql.run("COMMIT");
  expect_nothing(sql, "after subtransactions");
  EXPECT_EQ(session.value(kAlpha, kCount), "28");
}

TEST_P(ContextSession, TwoKeysAreValidWhileOneFollowsTheOther) {
  SignedSession session(runtime());
  const ContextKey first = testing::context_key();
  const ContextKey second = key(2, 'b');
  EXPECT_EQ(complaint(session, first), "");
  EXPECT_EQ(complaint(session, second), kInvalid);
  administrator().run("BEGIN; " + insert(second));
  EXPECT_EQ(complaint(session, second), kInvalid) << "not committed";
  administrator().run("ROLLBACK");
  EXPECT_EQ(complaint(session, second), kInvalid) << "rolled back";
  administrator().run(insert(second));
  EXPECT_EQ(complaint(session, second), "") << "at once, in a session that was open";
  EXPECT_EQ(complaint(session, first), "");
  session.sql().run("BEGIN; SELECT 1");
  administrator().run("DELETE FROM rowhouse.context_keys WHERE id = 1");
  EXPECT_EQ(session.sql().complaint(session.set_context(kAlpha)), kInvalid)
      << "in a transaction that has begun before";
  session.sql().run("ROLLBACK");
  EXPECT_EQ(complaint(session, first), kInvalid) << "at once, in a session that has used it";
  EXPECT_EQ(complaint(session, second), "");
  SignedSession fresh(runtime());
  EXPECT_EQ(complaint(fresh, second), "");
  EXPECT_EQ(complaint(fresh, first), kInvalid);
}

TEST_P(ContextSession, EveryWayToRetireAKeyCounts) {
  SignedSession session(runtime());
  const ContextKey second = key(2, 'b');
  for (const char* retire :
       {"DELETE FROM rowhouse.context_keys WHERE id = 2", "TRUNCATE rowhouse.context_keys",
        "UPDATE rowhouse.context_keys SET key = decode(repeat('63', 64), 'hex') WHERE id = 2",
        "UPDATE rowhouse.context_keys SET id = 3 WHERE id = 2",
        "SET session_replication_role = replica; DELETE FROM rowhouse.context_keys; RESET "
        "session_replication_role",
        "WITH gone AS (DELETE FROM rowhouse.context_keys RETURNING 1) SELECT count(*) FROM gone",
        "SET ROLE tenant_owner; DELETE FROM rowhouse.context_keys; RESET ROLE",
        "VACUUM FULL rowhouse.context_keys; DELETE FROM rowhouse.context_keys"}) {
    administrator().run("DELETE FROM rowhouse.context_keys");
    administrator().run(insert(second));
    EXPECT_EQ(complaint(session, second), "") << retire;
    for (const auto statement : split(retire, ';')) administrator().run(std::string(statement));
    EXPECT_EQ(complaint(session, second), kInvalid) << retire;
  }
  // Prepared, as the server does it.
  administrator().run("DELETE FROM rowhouse.context_keys; " + insert(second));
  EXPECT_EQ(complaint(session, second), "");
  administrator().run("PREPARE retire AS DELETE FROM rowhouse.context_keys WHERE id = $1; EXECUTE retire(2)");
  EXPECT_EQ(complaint(session, second), kInvalid);
}

TEST_P(ContextSession, ATransactionKeepsItsTenantWhenTheKeyIsRetired) {
  SignedSession session(runtime());
  session.begin(kAlpha);
  administrator().run("DELETE FROM rowhouse.context_keys");
  EXPECT_EQ(session.sql().value(kBodies), "secret of a");
  session.sql().run("COMMIT");
  EXPECT_EQ(complaint(session, testing::context_key()), kInvalid);
}

TEST_P(ContextSession, NoPreparedTransactionCarriesAContext) {
  administrator().run("ALTER SYSTEM SET max_prepared_transactions = 4");
  testing::restart_server();
  {
    SignedSession session(runtime());
    BlockingSql& sql = session.sql();
    const std::string used = session.set_context(kAlpha);
    sql.run("BEGIN; " + used + "; UPDATE app.notes SET body = 'in doubt'");
    sql.run("PREPARE TRANSACTION 'doubt'");
    expect_nothing(sql, "prepared");
    expect_refused(sql, used, "prepared");
    EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
    SignedSession finisher(runtime());
    finisher.sql().run("COMMIT PREPARED 'doubt'");
    expect_nothing(finisher.sql(), "committed");
    EXPECT_EQ(finisher.value(kAlpha, kBodies), "in doubt");
  }
  BlockingSql(testing::superuser(database())).run("ALTER SYSTEM RESET max_prepared_transactions");
  testing::restart_server();
}

TEST_P(ContextSession, AnImplementationIsExchangedUnderOpenSessions) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  session.sql().run("PREPARE bodies AS " + std::string(kBodies));
  EXPECT_EQ(session.value(kAlpha, "EXECUTE bodies"), "secret of a");
  session.begin(kAlpha);
  install(other());
  // A transaction that is under way may lose its context. It never has another's.
  EXPECT_NE(sql.value(kBodies), "secret of b");
  sql.run("ROLLBACK");
  expect_nothing(sql, "exchanged");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
  SignedSession fresh(runtime());
  EXPECT_EQ(fresh.value(kAlpha, kBodies), "secret of a");
  EXPECT_EQ(fresh.value(kBeta, kBodies), "secret of b");
  const std::string used = fresh.set_context(kAlpha);
  fresh.sql().run("BEGIN; " + used + "; COMMIT");
  expect_refused(fresh.sql(), used, "replayed");
  install(GetParam());
  expect_nothing(sql, "back");
  expect_nothing(fresh.sql(), "back");
  SignedSession last(runtime());
  EXPECT_EQ(last.value(kBeta, kBodies), "secret of b");
}

TEST_P(ContextSession, InstallingTwiceChangesNothing) {
  const std::string picture =
      "SELECT string_agg(format('%s %s %s %s %s %s', p.oid::regprocedure, proowner::regrole, proacl, "
      "prosecdef, provolatile, "
      "proparallel), E'\\n' ORDER BY p.oid) FROM pg_proc p WHERE pronamespace = 'rowhouse'::regnamespace";
  const std::string before = administrator().value(picture);
  install(GetParam());
  EXPECT_EQ(administrator().value(picture), before);
  install(other());
  install(GetParam());
  install(GetParam());
  EXPECT_EQ(administrator().value(picture), before);
  EXPECT_EQ(
      administrator().value(
          "SELECT count(*) FROM pg_proc WHERE pronamespace = 'rowhouse'::regnamespace AND "
          "(proowner <> 'tenant_owner'::regrole OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0) "
          "OR proacl IS NULL)"),
      "0");
  EXPECT_EQ(
      administrator().value(
          "SELECT count(*) FROM pg_proc WHERE proname IN ('tenant_id', 'principal_id', 'principal_role') "
          "AND pronamespace = 'rowhouse'::regnamespace AND provolatile = 's' AND proparallel = 'r'"),
      "3");
}

// Runs pg_dump as backup_service; what it printed and how it ended.
std::string dump(const std::string& database, const std::string& options) {
  const auto as = testing::as_role("backup_service", database);
  const std::string command = "PGPASSWORD=" + quote_literal(as.password) +
                              " $(ls /usr/lib/postgresql/*/bin/pg_dump | sort -V | tail -1) -h " + as.host +
                              " -p " + std::to_string(as.port) + " -U " + as.user + " " + options + " " +
                              database + " 2>&1; echo status $?";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string output;
  std::array<char, 4096> buffer{};
  while (pipe && std::fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) output += buffer.data();
  return output;
}

TEST_P(ContextSession, ABackupLeavesTheKeysOutAndARestoreMakesDoWithoutThem) {
  const std::string complete = dump(database(), "");
  EXPECT_NE(complete.find("permission denied for table context_keys"), std::string::npos) << complete;
  const std::string backup = dump(database(), "--exclude-table='rowhouse.context_*'");
  EXPECT_NE(backup.find("status 0"), std::string::npos) << backup.substr(0, 1000);
  EXPECT_NE(backup.find("secret of a"), std::string::npos);
  EXPECT_EQ(backup.find(to_hex(testing::context_key().bytes)), std::string::npos);
  EXPECT_EQ(backup.find("CREATE TABLE rowhouse.context_keys"), std::string::npos);
  EXPECT_EQ(backup.find("CREATE TRIGGER context_keys"), std::string::npos);

  administrator().run("DROP TABLE rowhouse.context_keys; DROP SEQUENCE rowhouse.context_number");
  SignedSession session(runtime());
  session.sql().run("BEGIN");
  EXPECT_NE(session.sql().failure(session.set_context(kAlpha)), "");
  session.sql().run("ROLLBACK");
  expect_nothing(session.sql(), "without keys");
  install(GetParam());
  administrator().run(insert(testing::context_key()));
  SignedSession fresh(runtime());
  EXPECT_EQ(fresh.value(kAlpha, kBodies), "secret of a");
  EXPECT_EQ(fresh.failure(kAlpha, "SELECT * FROM rowhouse.context_keys"), kDenied);
  EXPECT_EQ(administrator().value("SELECT count(*) FROM pg_class c, aclexplode(relacl) x WHERE relnamespace "
                                  "= 'rowhouse'::regnamespace AND "
                                  "relname IN ('context_keys', 'context_number') AND x.grantee <> relowner"),
            "0");
}

TEST(ContextMigration, OldInstallationsHaveNoContextUntilAGuardIsThere) {
  testing::ensure_roles();
  const std::string name = testing::fresh_database("tenant_owner");
  BlockingSql administrator(testing::superuser(name));
  std::vector<std::string> files;
  for (const auto& file : embedded_files()) {
    if (file.path.starts_with("sql/tenant/")) files.emplace_back(file.content);
  }
  ASSERT_GE(files.size(), 2U);
  administrator.run("BEGIN; " + files[0] + "; COMMIT");
  administrator.run("CREATE ROLE older_runtime LOGIN NOINHERIT PASSWORD " +
                    quote_literal(testing::kRolePassword) + "; GRANT CONNECT ON DATABASE " +
                    quote_name(name) +
                    " TO older_runtime; SET ROLE tenant_owner; "
                    "SELECT rowhouse.grant_runtime('older_runtime'); RESET ROLE");
  administrator.run("BEGIN; " + files[1] + "; COMMIT");
  for (std::size_t i = 2; i < files.size(); ++i) administrator.run("BEGIN; " + files[i] + "; COMMIT");
  SignedSession session(testing::as_role("older_runtime", name));
  BlockingSql& sql = session.sql();
  EXPECT_EQ(sql.failure(session.set_context(kAlpha)), "55000");
  EXPECT_EQ(sql.value("SELECT rowhouse.tenant_id() IS NULL AND rowhouse.principal_id() IS NULL AND "
                      "rowhouse.principal_role() IS NULL"),
            "t");
  sql.run("SET rowhouse.context = '" + std::string(kAlpha) + "'");
  EXPECT_EQ(sql.value("SELECT rowhouse.tenant_id() IS NULL"), "t") << "the setting is gone";
  for (const Guard guard : {Guard::portable, Guard::extension}) {
    administrator.run("BEGIN; " + testing::guard_sql(guard) + "; COMMIT");
    administrator.run(
        "DELETE FROM rowhouse.context_keys; INSERT INTO rowhouse.context_keys (id, key) VALUES (1, '\\x" +
        to_hex(testing::context_key().bytes) + "')");
    SignedSession fresh(testing::as_role("older_runtime", name));
    EXPECT_EQ(fresh.value(kAlpha, "SELECT rowhouse.tenant_id()"), kAlpha);
  }
  EXPECT_EQ(
      administrator.value(
          "SELECT string_agg(DISTINCT grantee::regrole::text, ',' ORDER BY "
          "grantee::regrole::text) FROM pg_proc, aclexplode(proacl) "
          "WHERE proname IN ('set_context', 'context_number') AND pronamespace = 'rowhouse'::regnamespace"),
      "older_runtime,tenant_owner,tenant_service");
}

}  // namespace
}  // namespace rowhouse::pg
