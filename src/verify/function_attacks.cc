// Functions and sequences: called with the victim's values, and asked whether their answers depend on its
// rows.
#include <fmt/format.h>

#include <algorithm>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

class FunctionAttack {
 public:
  explicit FunctionAttack(Arena& arena) : arena_(arena) {}

  void attack(const FunctionInfo& function) {
    const SurfaceId where = arena_.surface(
        "function", arena_.label(function.schema) + "." + function.name + "(" + function.arguments + ")");
    Verdict verdict = Verdict::refused;
    std::string note;
    int attempts = 0;
    for (const std::string& call : calls_of(function)) {
      ++attempts;
      const Verdict one = try_call(call, note);
      if (one == Verdict::broken || one == Verdict::failed) {
        verdict = one;
        break;
      }
      if (one == Verdict::held) verdict = one;
    }
    arena_.report.attacked(where, "call with the other's values", attempts, verdict, note);
  }

  void attack(const SequenceInfo& sequence) {
    const std::string name = pg::quote_qualified(sequence.schema, sequence.name);
    const SurfaceId where = arena_.surface("sequence", arena_.label(sequence.schema) + "." + sequence.name);
    const bool is_own = sequence.schema == arena_.attacker->placement.schema && arena_.tier != "pool";
    const bool is_ours = sequence.schema == "rowhouse";
    const std::string literal = pg::quote_literal(name);
    int attempts = 0;
    std::string got;
    for (const std::string& sql : {"SELECT last_value FROM " + name,
                                   "SELECT pg_catalog.pg_sequence_last_value(" + literal + "::regclass)",
                                   "SELECT pg_catalog.setval(" + literal + ", 1, true)",
                                   "SELECT pg_catalog.currval(" + literal + ")"}) {
      ++attempts;
      const SqlAnswer answer = arena_.as(&arena_.attacker_id(), sql);
      if (answer.ok() && !answer.rows.empty() && answer.rows[0][0]) got = sql;
    }
    const bool broken = !got.empty() && (!is_own || is_ours);
    arena_.report.attacked(
        where, "read or set the counter", attempts,
        broken        ? Verdict::broken
        : got.empty() ? Verdict::refused
                      : Verdict::held,
        broken ? "a counter that tenants share can be read or set: " + replaced(got, name, "…") : "");
  }

 private:
  // Arguments made of the victim's values, of neutral ones, and with defaults left out.
  std::vector<std::string> calls_of(const FunctionInfo& function) {
    std::vector<std::string> calls;
    const std::size_t all = function.types.size();
    const std::size_t required = all - std::min(all, static_cast<std::size_t>(function.defaults));
    for (const bool pointed : {true, false}) {
      for (const std::size_t count : {required, all}) {
        std::string arguments;
        for (std::size_t i = 0; i < count; ++i)
          arguments += (i == 0 ? "" : ", ") + argument(function.types[i], pointed);
        const std::string name = pg::quote_qualified(function.schema, function.name) + "(" + arguments + ")";
        std::string call = function.kind == 'p'   ? "CALL " + name
                           : function.kind == 'w' ? "SELECT " + name + " OVER ()"
                                                  : "SELECT t.* FROM " + name + " t LIMIT 1000";
        if (function.kind == 'a') call = "SELECT " + name;
        if (std::find(calls.begin(), calls.end(), call) == calls.end()) calls.push_back(call);
      }
    }
    return calls;
  }

  std::string argument(const std::string& type, bool pointed) const {
    std::string value;
    if (type == "uuid") {
      value = pg::quote_literal(pointed ? some_victim_id() : arena_.victim_id().to_string());
    } else if (type == "text" || type == "character varying" || type == "name" || type == "character") {
      value = pg::quote_literal(pointed ? some_victim_text() : "");
    } else if (type == "bytea") {
      value = "'\\x00'";
    } else if (type == "boolean") {
      value = pointed ? "true" : "false";
    } else if (type == "json" || type == "jsonb") {
      value = "'{}'";
    } else if (type.ends_with("[]")) {
      value = "'{}'";
    } else if (type == "integer" || type == "bigint" || type == "numeric" || type == "smallint" ||
               type == "double precision" || type == "real") {
      value = pointed ? "0" : "1000";
    } else {
      value = "NULL";
    }
    return value + "::" + type;
  }

  std::string some_victim_id() const {
    for (const auto& [table, rows] : arena_.victims->rows()) {
      const auto id = rows.front().values.find("id");
      if (id != rows.front().values.end() && id->second && id->second->size() == 36) return *id->second;
    }
    return arena_.victim_id().to_string();
  }
  std::string some_victim_text() const {
    for (const auto& [table, rows] : arena_.victims->rows()) {
      for (const auto& [column, value] : rows.front().values) {
        if (value && value->size() != 36 && arena_.victims->shows_in(*value)) return *value;
      }
    }
    return arena_.victims->mark();
  }

  Verdict try_call(const std::string& call, std::string& note) {
    SqlClient& admin = *arena_.admin;
    const std::string role = "SET LOCAL ROLE " + pg::quote_name(arena_.role);
    arena_.begin_refereed(arena_.attacker_id());
    const std::string before = arena_.victim_state();
    admin.run(role);
    admin.run("SAVEPOINT called");
    const SqlAnswer with = admin.run(call);
    admin.run("ROLLBACK TO called");
    admin.run("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica");
    for (const std::string& oid : arena_.victims->order()) {
      admin.run("DELETE FROM " + arena_.inventory.relation(oid)->qualified() +
                " WHERE tenant_id = " + pg::quote_literal(arena_.victim_id().to_string()));
    }
    admin.run("SET LOCAL session_replication_role = origin");
    admin.run(role);
    admin.run("SAVEPOINT called");
    const SqlAnswer without = admin.run(call);
    admin.run("ROLLBACK");
    // Once more for what it does: the victim's rows must be the same afterwards.
    arena_.begin_refereed(arena_.attacker_id());
    admin.run(role);
    admin.run("SAVEPOINT called");
    if (!admin.run(call).ok()) admin.run("ROLLBACK TO called");
    admin.run("SET LOCAL ROLE NONE");
    const bool changed = arena_.victim_state() != before;
    admin.run("ROLLBACK");

    std::string shown = with.everything();
    for (const std::string& given : {some_victim_id(), some_victim_text()}) {
      if (call.find(given) != std::string::npos) shown = replaced(shown, given, "…");
    }
    if (arena_.victims->shows_in(shown)) {
      note = "it returns values of another tenant's rows";
    } else if (with.everything() != without.everything() && !is_volatile(call)) {
      note = "its answer depends on another tenant's rows";
    } else if (changed) {
      note = "it changes another tenant's rows";
    } else {
      return is_refusal(with) ? Verdict::refused : Verdict::held;
    }
    return Verdict::broken;
  }

  // Random values and clocks differ from call to call without any help of another tenant: two calls in a row
  // tell.
  bool is_volatile(const std::string& call) {
    const SqlAnswer first = arena_.as(&arena_.attacker_id(), call);
    const SqlAnswer second = arena_.as(&arena_.attacker_id(), call);
    return first.everything() != second.everything();
  }

  Arena& arena_;
};

}  // namespace

void attack_functions(Arena& arena) {
  FunctionAttack attack(arena);
  for (const FunctionInfo& function : arena.inventory.functions) {
    if (arena.stopped()) return;
    attack.attack(function);
  }
  for (const SequenceInfo& sequence : arena.inventory.sequences) attack.attack(sequence);
}

}  // namespace rowhouse::verify
