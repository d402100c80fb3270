#include "verify/arena.h"

#include "pg/quote.h"

namespace rowhouse::verify {

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

bool is_refusal(const SqlAnswer& answer) {
  const std::string& state = answer.sqlstate;
  return state == "42501" || state == "0A000" || state == "42809" || state == "55000" || state == "428C9";
}

std::string Arena::label(const std::string& schema) const {
  if (schema == attacker->placement.schema && schema != tenancy::kSharedSchema) return "(own schema)";
  if (schema == victim->placement.schema && schema != tenancy::kSharedSchema) return "(other's schema)";
  return schema;
}

std::string Arena::database_label(const std::string& name) const {
  if (attacker->placement.tier == tenancy::Tier::database) {
    if (name == attacker->placement.database) return "(own database)";
    if (name == victim->placement.database) return "(other's database)";
  }
  return name;
}

SurfaceId Arena::surface(std::string kind, std::string name) const {
  return {std::move(kind), std::move(name), pack, tier, database_label(database)};
}

SurfaceId Arena::surface_of(const RelationInfo& relation) const {
  const char* kind = relation.is_partition  ? "partition"
                     : relation.is_table()  ? "table"
                     : relation.kind == 'v' ? "view"
                     : relation.kind == 'm' ? "materialized view"
                                            : "foreign table";
  return surface(kind, label(relation.schema) + "." + relation.name);
}

SqlAnswer Arena::on(SqlClient& client, const Uuid* tenant, const std::string& sql) {
  client.run("BEGIN");
  if (tenant != nullptr) {
    SqlAnswer context = client.run(impersonation.statement(database, client, *tenant));
    if (!context.ok()) {
      client.run("ROLLBACK");
      context.sqlstate = "context";
      return context;
    }
  }
  SqlAnswer answer = client.run(sql);
  client.run("ROLLBACK");
  return answer;
}

SqlAnswer Arena::as_user(const Uuid& tenant, const Person& user, const std::string& sql) {
  runtime->run("BEGIN");
  SqlAnswer answer = runtime->run(impersonation.statement(database, *runtime, tenant, user));
  if (answer.ok()) {
    answer = runtime->run(sql);
  } else {
    answer.sqlstate = "context";
  }
  runtime->run("ROLLBACK");
  return answer;
}

SqlAnswer Arena::as_role(const std::string& name, const Uuid* tenant, const std::string& sql) {
  admin->run("BEGIN");
  if (tenant != nullptr) {
    SqlAnswer context = admin->run(impersonation.statement(database, *admin, *tenant));
    if (!context.ok()) {
      admin->run("ROLLBACK");
      context.sqlstate = "context";
      return context;
    }
  }
  SqlAnswer answer = admin->run("SET LOCAL ROLE " + pg::quote_name(name));
  if (answer.ok()) answer = admin->run(sql);
  admin->run("ROLLBACK");
  return answer;
}

SqlAnswer Arena::begin_refereed(const Uuid& tenant) {
  admin->run("BEGIN");
  SqlAnswer answer = admin->run(impersonation.statement(database, *admin, tenant));
  return answer;
}

namespace {

std::string state_of(SqlClient& client, const Inventory& inventory, const Canaries& canaries) {
  std::string sql;
  for (const std::string& oid : canaries.order()) {
    const RelationInfo* table = inventory.relation(oid);
    sql += (sql.empty() ? "SELECT md5(string_agg(h, ' ')) FROM (" : " UNION ALL ") +
           std::string("SELECT md5(coalesce(string_agg(t::text, ' ' ORDER BY t::text), '')) AS h FROM ") +
           table->qualified() + " t WHERE t.tenant_id = " + pg::quote_literal(canaries.tenant().to_string());
  }
  return sql.empty() ? "" : client.run(sql + ") states").value();
}

}  // namespace

std::string Arena::victim_state() { return state_of(*admin, inventory, *victims); }

std::string Arena::whole_victim_state() {
  return victim_state() + (home_canaries ? state_of(*home_admin, home_inventory, *home_canaries) : "");
}

const CanaryRow* Arena::home_row(const std::string& relation) const {
  const Inventory& all = home_canaries ? home_inventory : inventory;
  const Canaries& canaries = home_canaries ? *home_canaries : *victims;
  for (const RelationInfo& one : all.relations) {
    if (one.schema != victim->placement.schema || one.name != relation) continue;
    const auto* rows = canaries.rows_of(one.oid);
    return rows == nullptr ? nullptr : &rows->front();
  }
  return nullptr;
}

bool Arena::shows_victim(std::string_view text) const {
  return victims->shows_in(text) || (home_canaries && home_canaries->shows_in(text));
}

}  // namespace rowhouse::verify
