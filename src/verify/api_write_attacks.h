// Attacks on the API that write: bodies that name another tenant or its rows, its keys, its Idempotency-Key;
// and, afterwards, whether the victim may do what was refused.
//
// Inside src/verify alone. Blocking, one thread.
#pragma once

#include <string>
#include <vector>

#include "verify/api_duel.h"

namespace rowhouse::verify {

class ApiWriteAttack : public ApiDuel {
 public:
  using ApiDuel::ApiDuel;

  void create(const SurfaceId& where, const std::string& name) {
    auto body = body_of(name);
    if (!body) {
      proved(where, "create", false, "the victim does not see its own canary here");
      return;
    }
    const std::string path = "/v1/data/" + name;
    assign_tenant(where, path, *body);
    if (body->has_references) {
      const std::string key = "canary-" + std::to_string(arena_.random());
      for (const Headers& headers : {Headers{}, Headers{{"Idempotency-Key", key}}}) {
        differ(where, "refer to the other's row", "POST", path, path, headers, json::serialize(body->known),
               json::serialize(body->unknown), body->secrets);
      }
      const ApiAnswer stolen = api_.call("POST", path, as_attacker(), json::serialize(body->known));
      told(where, "refer to the other's row", stolen.ok(), "a row may refer to a row of another tenant");
    }
  }

  // The victim's natural keys are free for the attacker.
  void copy(const std::string& name) {
    const SurfaceId where = surface("POST", "/v1/data/" + name);
    const auto body = body_of(name);
    if (!body || body->has_references) return;
    const tenancy::Resource* declared = resource(name);
    const bool has_key = declared != nullptr && !declared->natural_key.empty();
    const std::string path = "/v1/data/" + name + (has_key ? "?on_conflict=ignore" : "");
    const ApiAnswer answer = api_.call("POST", path, as_attacker(), json::serialize(body->known));
    if (!answered(where, "create with the other's keys", answer)) return;
    told(where, "create with the other's keys", answer.status != 201 || leads_to_victim(answer, name),
         fmt::format("a key that another tenant has is answered {}", answer.status));
  }

  void import_rows(const SurfaceId& where, const std::string& name) {
    const auto body = body_of(name);
    if (!body) {
      proved(where, "import", false, "the victim does not see its own canary here");
      return;
    }
    const std::string path = "/v1/import/" + name;
    const std::string type = "application/x-ndjson";
    json::Value assigned = body->known;
    assigned.set("tenant_id", arena_.victim_id().to_string());
    const ApiAnswer answer = api_.call("POST", path, as_attacker(), json::serialize(assigned) + "\n", type);
    if (answered(where, "assign the tenant", answer)) {
      told(where, "assign the tenant", answer.ok() && answer.body.find("\"inserted\":0") == std::string::npos,
           "an import may name the tenant of its rows");
    }
    if (body->has_references) {
      differ(where, "refer to the other's row", "POST", path, path, {}, json::serialize(body->known) + "\n",
             json::serialize(body->unknown) + "\n", body->secrets, type);
      const ApiAnswer stolen =
          api_.call("POST", path, as_attacker(), json::serialize(body->known) + "\n", type);
      told(where, "refer to the other's row",
           stolen.ok() && stolen.body.find("\"inserted\":0") == std::string::npos,
           "a row may refer to a row of another tenant");
    }
  }

  // Afterwards: what was refused to the attacker works for the victim.
  void control_patch(const std::string& name) {
    const SurfaceId where = surface("PATCH", "/v1/data/" + name + "/{id}");
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    const auto change = row ? changed_member(name, *row) : std::nullopt;
    if (!id || !change) return;
    const ApiAnswer answer = api_.call("PATCH", "/v1/data/" + name + "/" + percent_encode(*id), as_victim(),
                                       json::serialize(json::Value(json::Object{*change})));
    proved(where, "by id", answer.ok(),
           fmt::format("the victim cannot change its own row: {}", answer.status));
  }

  void control_create(const std::string& name) {
    const SurfaceId where = surface("POST", "/v1/data/" + name);
    const auto body = body_of(name);
    if (!body) return;
    const std::string path = "/v1/data/" + name, key = "canary-" + std::to_string(arena_.random());
    const ApiAnswer first =
        api_.call("POST", path, as_victim({{"Idempotency-Key", key}}), json::serialize(body->known));
    const bool works = first.ok() || first.status == 409;  // its own keys are taken by its own row
    proved(where, "create with the other's keys", works,
           fmt::format("the victim cannot create a row: {} {}", first.status, first.body.substr(0, 200)));
    const ApiAnswer replay =
        api_.call("POST", path, as_attacker({{"Idempotency-Key", key}}), json::serialize(body->known));
    const bool replayed =
        !replay.header("Idempotency-Replayed").empty() || (first.ok() && leads_to_victim(replay, name));
    told(where, "idempotency key of the other", replayed,
         "the answer that was kept for another tenant is given out");
  }

  void control_import(const std::string& name) {
    const ApiAnswer answer =
        api_.call("POST", "/v1/import/" + name, as_victim(), "{}\n", "application/x-ndjson");
    const bool understood = answer.ok() || answer.status == 422;
    proved(surface("POST", "/v1/import/" + name), "assign the tenant", understood,
           fmt::format("the victim's own import is answered {}", answer.status));
  }

  void control_remove(const std::string& name) {
    const SurfaceId where = surface("DELETE", "/v1/data/" + name + "/{id}");
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    if (!id) return;
    const ApiAnswer answer = api_.call("DELETE", "/v1/data/" + name + "/" + percent_encode(*id), as_victim());
    proved(where, "by id", answer.ok() || answer.status == 409,
           fmt::format("the victim cannot delete its own row: {}", answer.status));
  }

 private:
  struct Body {
    json::Value known{json::Object{}},
        unknown{json::Object{}};  // with references to the victim's rows; to nobody's
    Secrets secrets;
    bool has_references = false;
  };

  std::optional<Body> body_of(const std::string& name) {
    const auto row = victims_row(name);
    const tenancy::Resource* declared = resource(name);
    if (!row || declared == nullptr) return std::nullopt;
    Body body;
    for (const auto& [column, value] : *row->as_object()) {
      const tenancy::Column* info = declared->find_column(column);
      if (info == nullptr || info->read_only || info->generated || column == "id" || value.is_null())
        continue;
      body.known.set(column, value);
      const bool refers = info->kind == tenancy::ColumnKind::uuid && is_reference(declared->relation, column);
      const std::string instead = refers ? arena_.attackers->uuid() : "";
      body.unknown.set(column, refers ? json::Value(instead) : value);
      if (refers) {
        body.has_references = true;
        body.secrets.known.push_back(text_of(value));
        body.secrets.unknown.push_back(instead);
      }
    }
    return body;
  }

  bool is_reference(const std::string& relation, const std::string& column) const {
    for (const ForeignKeyInfo& key : arena_.inventory.foreign_keys) {
      const RelationInfo* table = arena_.inventory.relation(key.table);
      if (table != nullptr && table->name == relation &&
          std::find(key.columns.begin(), key.columns.end(), column) != key.columns.end())
        return true;
    }
    return false;
  }

  // An answer with a row that the victim has, too, in its id.
  bool leads_to_victim(const ApiAnswer& answer, const std::string& name) {
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    return id && answer.body.find("\"id\":\"" + *id + "\"") != std::string::npos;
  }

  void assign_tenant(const SurfaceId& where, const std::string& path, const Body& body) {
    json::Value known = body.known, unknown = body.known;
    Secrets secrets;
    secrets.known = {arena_.victim_id().to_string()};
    secrets.unknown = {arena_.attackers->uuid()};
    known.set("tenant_id", secrets.known[0]);
    unknown.set("tenant_id", secrets.unknown[0]);
    for (const std::string& value : marks_in(body.known)) {
      secrets.known.push_back(value);
      secrets.unknown.push_back(value);
    }
    differ(where, "assign the tenant", "POST", path, path, {}, json::serialize(known),
           json::serialize(unknown), secrets);
    const ApiAnswer assigned = api_.call("POST", path, as_attacker(), json::serialize(known));
    told(where, "assign the tenant", assigned.ok(), "a body may name the tenant of its row");
  }

  std::vector<std::string> marks_in(const json::Value& row) const {
    std::vector<std::string> values;
    for (const auto& [column, value] : *row.as_object()) values.push_back(text_of(value));
    return values;
  }
};

}  // namespace rowhouse::verify
