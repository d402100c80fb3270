// One fight: an attacker and a victim of one pack in one tier, in one database, with both tenants' canaries
// planted.
//
// In every tier both tenants' rows are planted side by side in each schema that takes part, so that row
// security is tried also where only a misplaced row would need it. Blocking, one thread.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tenancy/tenant.h"
#include "verify/canary.h"
#include "verify/impersonation.h"
#include "verify/inventory.h"
#include "verify/report.h"
#include "verify/sql_client.h"

namespace rowhouse::verify {

struct Arena {
  Arena(Report& run_report, const tenancy::Cluster& server, Impersonation& contexts, Random& run_random)
      : report(run_report), cluster(server), impersonation(contexts), random(run_random) {}

  Report& report;
  const tenancy::Cluster& cluster;
  Impersonation& impersonation;
  Random& random;

  std::string pack, tier, database, role;  // role: the attacker's
  std::shared_ptr<const tenancy::Tenant> attacker, victim;
  std::string attacker_key, victim_key;  // API keys
  std::function<bool()> stopped = [] {
    return false;
  };                                      // asked between attacks: a server that stops does not wait
  std::set<std::string> roles_of_others;  // of database-tier tenants that do not take part
  std::set<std::string> pool_databases;   // which tenant_service may enter
  Inventory inventory;
  std::unique_ptr<Canaries> attackers, victims;
  // The victim's rows where the API finds them, if that is another database than this one.
  std::unique_ptr<SqlClient> home_admin;
  Inventory home_inventory;
  std::unique_ptr<Canaries> home_canaries;
  enum class Place {
    first,
    further
  } place = Place::first;              // first: what the whole installation has once is attacked here
  std::unique_ptr<SqlClient> admin;    // superuser: plants, and referees what is rolled back
  std::unique_ptr<SqlClient> runtime;  // logged in as `role`

  // The surface's name, the same in every run: throw-away schemas and databases by what they are.
  std::string label(const std::string& schema) const;
  std::string database_label(const std::string& name) const;
  SurfaceId surface(std::string kind, std::string name) const;
  SurfaceId surface_of(const RelationInfo& relation) const;

  // Runs statements in a transaction that is rolled back, in the name of `tenant` (null: of nobody). The
  // answer is that of the last statement, or of the first that failed.
  SqlAnswer as(const Uuid* tenant, const std::string& sql) { return on(*runtime, tenant, sql); }
  SqlAnswer on(SqlClient& client, const Uuid* tenant, const std::string& sql);
  // The same as a user of the tenant.
  SqlAnswer as_user(const Uuid& tenant, const Person& user, const std::string& sql);
  // The same on the superuser's connection, after SET LOCAL ROLE.
  SqlAnswer as_role(const std::string& name, const Uuid* tenant, const std::string& sql);
  // Begins a transaction on the superuser's connection as the attacker's role with the attacker's context.
  SqlAnswer begin_refereed(const Uuid& tenant);
  // The rows of the victim, as one hash; on the superuser's connection, in whatever transaction that is.
  std::string victim_state();

  // A row of the victim's as its API shows it; null if none was planted there.
  const CanaryRow* home_row(const std::string& relation) const;
  // Whether anything of the victim's got into this text.
  bool shows_victim(std::string_view text) const;
  // The victim's rows here and at home, as one hash.
  std::string whole_victim_state();

  const Uuid& attacker_id() const { return attacker->id; }
  const Uuid& victim_id() const { return victim->id; }
};

// Each family of attacks on the surfaces of an arena.
void attack_relations(Arena& arena);
void attack_users(Arena& arena);         // users of one tenant, where a row rule divides them
void attack_keys(Arena& arena);          // keys, foreign keys, policies, triggers, indexes
void attack_functions(Arena& arena);     // and sequences
void attack_sessions(Arena& arena);      // contexts, settings, what a session offers
void attack_installation(Arena& arena);  // roles, databases, system catalogs

// "a" with every `from` replaced.
std::string replaced(std::string text, std::string_view from, std::string_view to);
// SQLSTATEs that mean: this cannot be done here, whoever asks.
bool is_refusal(const SqlAnswer& answer);

}  // namespace rowhouse::verify
