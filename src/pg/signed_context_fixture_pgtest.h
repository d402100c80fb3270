// A tenant database with rows of two tenants, once for each implementation of the signed context.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "testing/postgres.h"
#include "testing/signed_session.h"

namespace rowhouse::pg {

using testing::BlockingSql;
using testing::Guard;
using testing::SignedSession;

inline constexpr const char* kAlpha = "aaaaaaaa-0000-4000-8000-00000000000a";
inline constexpr const char* kBeta = "bbbbbbbb-0000-4000-8000-00000000000b";
inline constexpr const char* kDenied = "42501";
inline constexpr const char* kInvalid = "the tenant context is not valid";

class GuardTest : public ::testing::TestWithParam<Guard> {
 protected:
  GuardTest()
      : database_(testing::fresh_tenant_database(GetParam())), administrator_(testing::superuser(database_)) {
    const std::string is_own = "(tenant_id = (SELECT rowhouse.tenant_id()))";
    const std::string rule = " USING " + is_own + " WITH CHECK " + is_own + "; ";
    administrator_.run(
        "SET ROLE tenant_owner; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO tenant_service; "
        "CREATE TABLE app.notes (tenant_id uuid NOT NULL DEFAULT rowhouse.tenant_id(), id int, body text, "
        "PRIMARY KEY (tenant_id, id)); "
        "CREATE POLICY rowhouse_tenant ON app.notes AS PERMISSIVE" +
        rule + "CREATE POLICY rowhouse_wall ON app.notes AS RESTRICTIVE" + rule +
        "ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE app.notes FORCE ROW LEVEL SECURITY; "
        "GRANT SELECT, DELETE, INSERT (id, body), UPDATE (body) ON app.notes TO tenant_service; RESET ROLE; "
        "INSERT INTO app.notes SELECT tenant::uuid, n, 'secret of ' || left(tenant, 1) FROM "
        "generate_series(1, 3) n, "
        "unnest(ARRAY['" +
        std::string(kAlpha) + "', '" + kBeta + "']) tenant");
  }

  ConnectionParameters runtime() const { return testing::as_role("tenant_service", database_); }
  BlockingSql& administrator() { return administrator_; }
  const std::string& database() const { return database_; }
  static bool is_portable() { return GetParam() == Guard::portable; }
  void install(Guard guard) { administrator_.run("BEGIN; " + testing::guard_sql(guard) + "; COMMIT"); }
  static Guard other() { return is_portable() ? Guard::extension : Guard::portable; }

  // Nobody is anybody here: neither reads nor writes.
  static void expect_nothing(BlockingSql& sql, const std::string& when) {
    EXPECT_EQ(sql.value("SELECT count(*) FROM app.notes"), "0") << when;
    EXPECT_EQ(sql.value("SELECT rowhouse.tenant_id() IS NULL AND rowhouse.principal_id() IS NULL AND "
                        "rowhouse.principal_role() IS NULL"),
              "t")
        << when;
  }
  // A context that is refused, in a transaction that then sees nothing.
  static void expect_refused(BlockingSql& sql, const std::string& set_context, const std::string& when) {
    sql.run("BEGIN");
    EXPECT_EQ(sql.complaint(set_context), kInvalid) << when;
    sql.run("ROLLBACK");
    expect_nothing(sql, when);
  }

 private:
  std::string database_;
  BlockingSql administrator_;
};

inline std::string guard_name(const ::testing::TestParamInfo<Guard>& guard) {
  return guard.param == Guard::portable ? "portable" : "extension";
}

}  // namespace rowhouse::pg
