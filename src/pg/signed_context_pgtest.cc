// The signed tenant context under attack: forged, altered, borrowed, replayed, outlived. Both implementations
// must withstand the same.
#include <limits>

#include "base/text.h"
#include "pg/signed_context_fixture_pgtest.h"

namespace rowhouse::pg {
namespace {

using testing::RawContext;

constexpr const char* kCount = "SELECT count(*) FROM app.notes";
constexpr const char* kBodies = "SELECT string_agg(DISTINCT body, ',') FROM app.notes";

class ContextAttack : public GuardTest {};
INSTANTIATE_TEST_SUITE_P(Guards, ContextAttack, ::testing::Values(Guard::portable, Guard::extension),
                         guard_name);

TEST_P(ContextAttack, WithoutOneThereIsNothing) {
  BlockingSql sql(runtime());
  expect_nothing(sql, "a new session");
  EXPECT_EQ(sql.failure("INSERT INTO app.notes (id, body) VALUES (9, 'x')"), kDenied);
  EXPECT_EQ(sql.value("WITH hit AS (UPDATE app.notes SET body = 'x' RETURNING 1) SELECT count(*) FROM hit"),
            "0");
  EXPECT_EQ(sql.value("WITH hit AS (DELETE FROM app.notes RETURNING 1) SELECT count(*) FROM hit"), "0");
  EXPECT_EQ(sql.failure("INSERT INTO app.notes (tenant_id, id) VALUES ('" + std::string(kBeta) + "', 9)"),
            kDenied);
  EXPECT_EQ(administrator().value(kCount), "6");
}

TEST_P(ContextAttack, OpensItsTenantAlone) {
  SignedSession session(runtime());
  EXPECT_EQ(session.value(kAlpha, kBodies), "secret of a");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
  EXPECT_EQ(session.value(kAlpha, "SELECT rowhouse.tenant_id()"), kAlpha);
  EXPECT_EQ(session.value(kAlpha, "SELECT rowhouse.principal_id()"), testing::kPrincipalOfTests);
  EXPECT_EQ(session.value(kAlpha, "SELECT rowhouse.principal_role()"), "0");
  session.run(kAlpha,
              "INSERT INTO app.notes (id, body) VALUES (4, 'new'); UPDATE app.notes SET body = 'mine'");
  EXPECT_EQ(administrator().value("SELECT count(*) FROM app.notes WHERE body = 'mine' AND tenant_id = '" +
                                  std::string(kAlpha) + "'"),
            "4");
  session.run(kAlpha, "DELETE FROM app.notes");
  EXPECT_EQ(administrator().value(kBodies), "secret of b");
}

TEST_P(ContextAttack, CarriesEveryBitOfItsClaims) {
  SignedSession session(runtime());
  for (const char* tenant :
       {"ffffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-8000-000000000001",
        "00000000-0000-0000-0000-000000000000", "7fffffff-ffff-ffff-7fff-ffffffffffff"}) {
    EXPECT_EQ(session.value(tenant, "SELECT rowhouse.tenant_id()"), tenant);
  }
  for (const std::int32_t role :
       {0, 1, -1, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}) {
    RawContext context = session.context(kAlpha);
    context.role = role;
    context.sign(testing::context_key(), session.sql().backend_pid());
    session.sql().run("BEGIN; " + context.sql());
    EXPECT_EQ(session.sql().value("SELECT rowhouse.principal_role()"), std::to_string(role));
    session.sql().run("COMMIT");
  }
}

TEST_P(ContextAttack, ChangedAnywhereItIsRefused) {
  SignedSession session(runtime());
  session.run(kAlpha, "SELECT 1");
  BlockingSql& sql = session.sql();
  int attempts = 0;
  const auto attempt = [&](const auto& change) {
    ++attempts;
    RawContext changed = session.context(kAlpha);
    change(changed);
    sql.run("BEGIN");
    EXPECT_EQ(sql.complaint(changed.sql()), kInvalid) << changed.sql();
    sql.run("ROLLBACK");
  };
  const auto flip = [](std::int64_t& field, int bit) {
    field = static_cast<std::int64_t>(static_cast<std::uint64_t>(field) ^ std::uint64_t{1} << bit);
  };
  for (std::size_t i = 0; i < 256; ++i) {
    attempt([&](RawContext& it) { it.mac[i / 8] = static_cast<char>(it.mac[i / 8] ^ 1 << i % 8); });
  }
  using Field = std::int64_t RawContext::*;
  for (const Field field : {&RawContext::tenant_high, &RawContext::tenant_low, &RawContext::principal_high,
                            &RawContext::principal_low}) {
    for (int bit = 0; bit < 64; ++bit) attempt([&](RawContext& it) { flip(it.*field, bit); });
  }
  // No time that PostgreSQL knows has the last one.
  for (int bit = 0; bit < 63; ++bit) attempt([&](RawContext& it) { flip(it.expires_at_us, bit); });
  for (int bit = 0; bit < 64; ++bit) {
    attempt([&](RawContext& it) {  // any number but the next one
      flip(it.number, bit);
      it.sign(testing::context_key(), sql.backend_pid());
    });
  }
  for (int bit = 0; bit < 32; ++bit) {
    attempt([&](RawContext& it) { it.role = static_cast<std::int32_t>(1U << bit); });
    attempt([&](RawContext& it) { it.key_id = static_cast<std::int32_t>(1U ^ 1U << bit); });
  }
  for (const std::size_t length : {0U, 1U, 31U, 33U, 64U}) {
    attempt([&](RawContext& it) { it.mac.resize(length, '\0'); });
  }
  EXPECT_EQ(attempts, 256 + 4 * 64 + 63 + 64 + 2 * 32 + 5);
  expect_nothing(sql, "after all of it");
  EXPECT_EQ(session.value(kAlpha, kBodies), "secret of a");
}

TEST_P(ContextAttack, NothingMayBeMissing) {
  SignedSession session(runtime());
  session.run(kAlpha, "SELECT 1");
  for (int argument = 0; argument < 4; ++argument) {
    const std::string good = session.set_context(kAlpha);
    std::size_t from = good.find('(') + 1;
    for (int i = 0; i < argument; ++i) from = good.find(", ", from) + 2;
    const std::size_t to = std::min(good.find(", ", from), good.size() - 1);
    expect_refused(session.sql(), good.substr(0, from) + "NULL" + good.substr(to), std::to_string(argument));
  }
}

TEST_P(ContextAttack, OtherKeysSignNothing) {
  SignedSession session(runtime());
  const auto attempt = [&](const ContextKey& key, const std::string& what) {
    RawContext context = session.context(kAlpha);
    context.sign(key, session.sql().backend_pid());
    expect_refused(session.sql(), context.sql(), what);
  };
  ContextKey forged = testing::context_key();
  forged.bytes[63] = static_cast<char>(forged.bytes[63] ^ 1);
  attempt(forged, "one bit of the key");
  for (const std::int32_t id : {2, 0, -1, std::numeric_limits<std::int32_t>::max()}) {
    ContextKey unknown = testing::context_key();
    unknown.id = id;
    attempt(unknown, "key " + std::to_string(id));
  }
  ContextKey zero = testing::context_key();
  zero.bytes.assign(kContextKeyBytes, '\0');
  attempt(zero, "no key");
}

TEST_P(ContextAttack, OfOneTenantItIsNoOthers) {
  SignedSession session(runtime());
  RawContext beta = session.context(kBeta);
  RawContext alpha = session.context(kAlpha);
  beta.number = alpha.number;
  beta.sign(testing::context_key(), session.sql().backend_pid());
  alpha.mac = beta.mac;
  expect_refused(session.sql(), alpha.sql(), "the signature of another");
  RawContext swapped = session.context(kAlpha);
  std::swap(swapped.tenant_high, swapped.principal_high);
  std::swap(swapped.tenant_low, swapped.principal_low);
  expect_refused(session.sql(), swapped.sql(), "tenant and principal");
}

TEST_P(ContextAttack, BothSidesCount) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  RawContext context = session.context(kAlpha);
  const auto next = [&](std::int64_t distance) {
    context.number += distance;
    context.sign(testing::context_key(), sql.backend_pid());
    return context.sql();
  };
  sql.run("BEGIN; " + next(0) + "; COMMIT");
  sql.run("BEGIN; " + next(1) + "; ROLLBACK");
  EXPECT_EQ(sql.failure("BEGIN; " + next(1) + "; SELECT 1 / 0"), "22012");
  sql.run("ROLLBACK");
  sql.run("BEGIN; " + next(1));
  EXPECT_EQ(sql.value(kBodies), "secret of a") << "a number is used up however its transaction ended";
  sql.run("COMMIT");
  expect_refused(sql, next(2), "one was left out");
  // Whoever takes numbers, or says anything wrong, has lost count for the one who signs; and that is all.
  const std::string signed_before = session.set_context(kBeta);
  sql.run(kContextNumberSql);
  expect_refused(sql, signed_before, "its number was taken");
  const std::string signed_again = session.set_context(kBeta);
  expect_refused(sql, signed_before, "an older one");
  expect_refused(sql, signed_again, "after a refusal");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
}

TEST_P(ContextAttack, NoTwoSessionsShareNumbers) {
  std::int64_t last = -10'000'000;
  for (int i = 0; i < 5; ++i) {
    BlockingSql sql(runtime());
    const auto first = parse_int64(sql.value(kContextNumberSql)).value_or(0);
    EXPECT_GT(first, 0);
    EXPECT_GT(std::abs(first - last), 1'000'000);
    EXPECT_EQ(sql.value(kContextNumberSql), std::to_string(first + 1));
    sql.failure("DISCARD SEQUENCES");
    EXPECT_GT(parse_int64(sql.value(kContextNumberSql)).value_or(0), first + 1) << "none comes again";
    last = first;
  }
}

TEST_P(ContextAttack, ExpiresBeforeItIsSet) {
  SignedSession session(runtime());
  session.run(kAlpha, "SELECT 1");
  const auto when = [&](std::int64_t difference_us) {
    RawContext context = session.context(kAlpha);
    context.expires_at_us += difference_us;
    context.sign(testing::context_key(), session.sql().backend_pid());
    session.sql().run("BEGIN");
    std::string complaint = session.sql().complaint(context.sql());
    session.sql().run("ROLLBACK");
    return complaint;
  };
  const std::int64_t lifetime_us = 60'000'000;
  EXPECT_EQ(when(-lifetime_us - 1'000), "the tenant context has expired");
  EXPECT_EQ(when(-lifetime_us * 1'000), "the tenant context has expired");
  EXPECT_EQ(when(-lifetime_us * 100'000'000), "the tenant context has expired") << "before 1970";
  EXPECT_EQ(when(-lifetime_us / 2), "");
  // A transaction that began in time does not make it valid.
  RawContext context = session.context(kAlpha);
  context.expires_at_us -= lifetime_us;
  context.sign(testing::context_key(), session.sql().backend_pid());
  session.sql().run("BEGIN; SELECT pg_sleep(0.002)");
  EXPECT_EQ(session.sql().complaint(context.sql()), "the tenant context has expired");
  session.sql().run("ROLLBACK");
  expect_nothing(session.sql(), "expired");
}

TEST_P(ContextAttack, IsBoundToItsBackend) {
  SignedSession first(runtime());
  SignedSession second(runtime());
  const RawContext stolen = first.context(kAlpha);
  expect_refused(second.sql(), stolen.sql(), "another session");
  first.sql().run("BEGIN; " + stolen.sql());
  EXPECT_EQ(first.sql().value(kCount), "3");
  expect_nothing(second.sql(), "beside it");
  first.sql().run("COMMIT");
}

TEST_P(ContextAttack, IsUsedOnce) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  const std::string first = session.set_context(kAlpha);
  sql.run("BEGIN; " + first);
  EXPECT_EQ(sql.complaint(first), kInvalid);
  sql.run("ROLLBACK");
  expect_refused(sql, first, "after a rollback");
  const std::string second = session.set_context(kBeta);
  const std::string third = session.set_context(kAlpha);
  sql.run("BEGIN; " + third + "; COMMIT");
  expect_refused(sql, third, "in a later transaction");
  expect_refused(sql, second, "an older one that was never used");
  const std::string fourth = session.set_context(kAlpha);
  sql.run("BEGIN; " + fourth);
  EXPECT_EQ(sql.failure("SELECT 1 / 0"), "22012");
  sql.run("ROLLBACK");
  expect_refused(sql, fourth, "after an error");
  const std::string fifth = session.set_context(kAlpha);
  sql.run(fifth);  // a transaction of its own
  expect_refused(sql, fifth, "after an implicit transaction");
  for (const std::string& used : {first, second, third, fourth, fifth})
    expect_refused(sql, used, "at the end");
  EXPECT_EQ(session.value(kBeta, kBodies), "secret of b");
}

TEST_P(ContextAttack, IsUsedOnceWhateverTheSessionForgets) {
  for (const char* reset :
       {"DISCARD ALL", "DISCARD SEQUENCES", "DISCARD PLANS", "DISCARD TEMP", "RESET ALL", "CLOSE ALL",
        "DEALLOCATE ALL", "RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT",
        "SET SESSION AUTHORIZATION tenant_service", "RESET ROLE", "SET ROLE NONE", "SET ROLE tenant_service",
        "RESET SESSION CHARACTERISTICS"}) {
    SignedSession session(runtime());
    BlockingSql& sql = session.sql();
    const std::string first = session.set_context(kAlpha);
    sql.run("BEGIN; " + first + "; COMMIT");
    const std::string used = session.set_context(kAlpha);
    sql.run("BEGIN; " + used + "; COMMIT");
    sql.failure(reset);
    sql.run("SET search_path = ''");
    sql.run("BEGIN");
    EXPECT_EQ(sql.complaint(used), kInvalid) << reset;
    sql.run("ROLLBACK");
    expect_nothing(sql, reset);
    expect_refused(sql, first, reset);
    EXPECT_EQ(session.value(kBeta, kBodies), "secret of b") << reset;
  }
}

TEST_P(ContextAttack, ThereIsOneInATransaction) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  session.begin(kAlpha);
  EXPECT_EQ(sql.complaint(session.set_context(kBeta)), "a tenant context is already set in this transaction");
  sql.run("ROLLBACK");
  expect_nothing(sql, "after the refusal");
  session.begin(kAlpha);
  sql.run("SAVEPOINT before");
  EXPECT_EQ(sql.failure(session.set_context(kBeta)), kDenied);
  sql.run("ROLLBACK TO before");
  EXPECT_EQ(sql.value(kBodies), "secret of a");
  EXPECT_EQ(sql.failure(session.set_context(kAlpha)), kDenied);
  sql.run("ROLLBACK");
}

TEST_P(ContextAttack, EndsWithItsTransaction) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  for (const char* end : {"COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"}) {
    session.begin(kAlpha);
    EXPECT_EQ(sql.value(kCount), "3");
    sql.run(end);
    expect_nothing(sql, end);
    sql.run("ROLLBACK");
    // All in one message, so that even the time stamps of both transactions are the same.
    EXPECT_EQ(sql.value("BEGIN; " + session.set_context(kAlpha) + "; " + end + "; " + kCount), "0") << end;
    sql.run("ROLLBACK");
  }
  session.begin(kAlpha);
  EXPECT_EQ(sql.failure("SELECT 1 / 0"), "22012");
  EXPECT_EQ(sql.failure(kCount), "25P02");
  sql.run("COMMIT");
  expect_nothing(sql, "after an error");
  EXPECT_EQ(sql.value(session.set_context(kAlpha) + "; " + kCount), "3") << "one implicit transaction";
  expect_nothing(sql, "after an implicit transaction");
  EXPECT_NE(sql.failure(session.set_context(kAlpha) + "; SELECT 1 / 0"), "");
  expect_nothing(sql, "after an implicit transaction that failed");
}

TEST_P(ContextAttack, EndsWithATransactionThatAProcedureEnds) {
  administrator().run(
      "CREATE PROCEDURE app.commits(set_context text, OUT seen text) LANGUAGE plpgsql AS $$ BEGIN "
      "EXECUTE set_context; SELECT count(*) INTO seen FROM app.notes; COMMIT; "
      "SELECT seen || ' ' || count(*) INTO seen FROM app.notes; ROLLBACK; "
      "SELECT seen || ' ' || count(*) INTO seen FROM app.notes; END $$;"
      "GRANT EXECUTE ON PROCEDURE app.commits TO tenant_service");
  SignedSession session(runtime());
  EXPECT_EQ(session.sql().value("CALL app.commits($token$" + session.set_context(kAlpha) + "$token$, NULL)"),
            "3 0 0");
}

TEST_P(ContextAttack, SurvivesErrorsThatASavepointCatches) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  session.begin(kAlpha);
  sql.run("SAVEPOINT before");
  EXPECT_EQ(sql.failure("INSERT INTO app.notes (id) VALUES (1)"), "23505");
  sql.run("ROLLBACK TO before");
  EXPECT_EQ(sql.value(kBodies), "secret of a");
  sql.run("COMMIT");
  // Set inside of what is rolled back, it may be gone or there, but is nobody else's, and it is used up.
  sql.run("BEGIN; SAVEPOINT before");
  const std::string inside = session.set_context(kAlpha);
  sql.run(inside);
  sql.run("ROLLBACK TO before");
  const std::string left = sql.value(kBodies);
  EXPECT_EQ(left, is_portable() ? "" : "secret of a");
  sql.run("SAVEPOINT again");
  EXPECT_EQ(sql.complaint(inside), kInvalid);
  sql.run("ROLLBACK");
  expect_nothing(sql, "after the savepoint");
}

TEST_P(ContextAttack, SettingsMeanNothing) {
  const std::string alpha = kAlpha;
  const std::string hidden = "rowhouse_context_aaaaaaaa000040008000000000000000a" + std::string(40, '0');
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  const std::vector<std::string> names{"rowhouse.context",   "rowhouse.tenant", "rowhouse.tenant_id",
                                       "rowhouse.principal", "app.tenant_id",   "rowhouse_guard.tenant",
                                       "backtrace_functions"};
  for (const auto& name : names) {
    for (const auto& value : {alpha, hidden}) {
      sql.failure("SET " + name + " = '" + value + "'");
      sql.failure("SELECT set_config('" + name + "', '" + value + "', false)");
      expect_nothing(sql, name);
      session.begin(kBeta);
      sql.run("SAVEPOINT before");
      sql.failure("SET LOCAL " + name + " = '" + value + "'");
      sql.run("ROLLBACK TO before");
      sql.failure("SELECT set_config('" + name + "', '" + value + "', true)");
      sql.run("ROLLBACK TO before");
      EXPECT_EQ(sql.value(kBodies), "secret of b") << name;
      sql.run("COMMIT");
    }
  }
  for (const char* attempt :
       {"SET backtrace_functions = 'x'", "RESET backtrace_functions", "SET backtrace_functions TO DEFAULT",
        "SELECT set_config('backtrace_functions', 'x', false)",
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'backtrace_functions'",
        "ALTER ROLE tenant_service SET backtrace_functions = 'x'",
        "ALTER ROLE CURRENT_USER SET backtrace_functions FROM CURRENT",
        "ALTER ROLE tenant_owner SET backtrace_functions = 'x'",
        "GRANT SET ON PARAMETER backtrace_functions TO tenant_service"}) {
    session.begin(kBeta);
    EXPECT_EQ(sql.failure(attempt), kDenied) << attempt;
    sql.run("ROLLBACK");
  }
  auto with_option = runtime();
  with_option.settings.emplace_back("backtrace_functions", hidden);
  EXPECT_NE(BlockingSql::cannot_connect(with_option), "");
  // What a session may reset is reset to nothing.
  session.begin(kBeta);
  sql.run("RESET ALL");
  EXPECT_EQ(sql.value(kBodies), is_portable() ? "" : "secret of b");
  sql.run("COMMIT");
  expect_nothing(sql, "after RESET ALL");
}

TEST_P(ContextAttack, SomebodyElsesBacktraceFunctionsAreNoContext) {
  for (const char* value : {"errfinish", "rowhouse_context", "exec_simple_query, rowhouse_context_aa"}) {
    administrator().run("ALTER ROLE tenant_service SET backtrace_functions = '" + std::string(value) + "'");
    SignedSession session(runtime());
    expect_nothing(session.sql(), value);
    EXPECT_EQ(session.value(kBeta, kBodies), "secret of b") << value;
    expect_nothing(session.sql(), value);
  }
  administrator().run("ALTER ROLE tenant_service RESET backtrace_functions");
}

TEST_P(ContextAttack, TheRuntimeCannotReadWhatItRestsOn) {
  SignedSession session(runtime());
  BlockingSql& sql = session.sql();
  for (const std::string attempt :
       {"SELECT * FROM rowhouse.context_keys",
        "SELECT count(*) FROM rowhouse.context_keys",
        "SELECT key FROM ONLY rowhouse.context_keys FOR SHARE",
        "COPY rowhouse.context_keys TO STDOUT",
        "COPY (SELECT * FROM rowhouse.context_keys) TO STDOUT",
        "TABLE rowhouse.context_keys",
        "INSERT INTO rowhouse.context_keys VALUES (2, repeat('x', 64)::bytea)",
        "DELETE FROM rowhouse.context_keys",
        "UPDATE rowhouse.context_keys SET key = key",
        "TRUNCATE rowhouse.context_keys",
        "LOCK TABLE rowhouse.context_keys IN ACCESS SHARE MODE",
        "SELECT * FROM pg_catalog.pg_statistic",
        "SELECT table_to_xml('rowhouse.context_keys', true, true, '')",
        "SELECT query_to_xml('SELECT * FROM rowhouse.context_keys', true, true, '')",
        "CREATE TRIGGER mine BEFORE INSERT ON rowhouse.context_keys EXECUTE FUNCTION "
        "suppress_redundant_updates_trigger()",
        "ALTER TABLE rowhouse.context_keys DISABLE TRIGGER ALL",
        "DROP TABLE rowhouse.context_keys",
        "CREATE VIEW rowhouse.mine AS SELECT * FROM rowhouse.context_keys",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_get_backend_memory_contexts()",
        "SELECT currval('rowhouse.context_number')",
        "SELECT nextval('rowhouse.context_number')",
        "SELECT setval('rowhouse.context_number', 1)",
        "SELECT setval('rowhouse.context_number', 1, false)",
        "SELECT last_value FROM rowhouse.context_number",
        "TABLE rowhouse.context_number",
        "ALTER SEQUENCE rowhouse.context_number RESTART",
        "DROP SEQUENCE rowhouse.context_number",
        "LOAD 'rowhouse_guard'",
        "SELECT rowhouse.grant_runtime('tenant_service')",
        "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE internal AS 'gen_random_uuid'",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$BEGIN END$$",
        "ALTER FUNCTION rowhouse.tenant_id() IMMUTABLE",
        "DROP FUNCTION rowhouse.tenant_id()"}) {
    session.begin(kAlpha);
    EXPECT_EQ(sql.failure(attempt), kDenied) << attempt;
    sql.run("ROLLBACK");
  }
  session.begin(kAlpha);
  // Which sequence was used last is not told; nor are values in views and statistics.
  EXPECT_EQ(sql.failure("SAVEPOINT s; SELECT lastval()"), is_portable() ? kDenied : "55000");
  sql.run("ROLLBACK TO s");
  EXPECT_EQ(sql.value("SELECT count(last_value) FROM pg_sequences WHERE sequencename = 'context_number'"),
            "0");
  sql.failure("SELECT pg_sequence_last_value('rowhouse.context_number'::regclass)");
  sql.run("ROLLBACK");
  administrator().run("ANALYZE rowhouse.context_keys");
  EXPECT_EQ(sql.value("SELECT count(*) FROM pg_stats WHERE tablename = 'context_keys'"), "0");
  // Of the token that was just set, nothing can be found but whom it names.
  const RawContext context = session.context(kAlpha);
  sql.run("BEGIN; " + context.sql());
  for (const std::string& secret :
       {to_hex(context.mac), std::to_string(context.expires_at_us), to_hex(testing::context_key().bytes)}) {
    EXPECT_EQ(
        sql.value("SELECT count(*) FROM pg_settings WHERE strpos(lower(setting), '" + secret + "') > 0"),
        "0");
  }
  sql.run("COMMIT");
}

}  // namespace
}  // namespace rowhouse::pg
