// What attacks on the API share: both tenants' keys, the victim's rows as its API shows them, and the
// comparison of answers.
//
// Inside src/verify alone. Blocking, one thread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "verify/api_client.h"
#include "verify/arena.h"

namespace rowhouse::verify {

struct Secrets {
  std::vector<std::string> known,
      unknown;  // one after the other: what is the victim's, and what nobody has instead
  std::vector<std::string> all() const {
    std::vector<std::string> both = known;
    both.insert(both.end(), unknown.begin(), unknown.end());
    return both;
  }
};

class ApiDuel {
 public:
  ApiDuel(Arena& arena, ApiClient& api) : arena_(arena), api_(api) {}

 protected:
  using Headers = std::vector<net::Header>;
  Headers as_attacker(Headers more = {}) const {
    more.emplace_back("X-Tenant-Key", arena_.attacker_key);
    return more;
  }
  Headers as_victim(Headers more = {}) const {
    more.emplace_back("X-Tenant-Key", arena_.victim_key);
    return more;
  }

  SurfaceId surface(const std::string& method, const std::string& path) const {
    return {"route", method + " " + path, arena_.pack, arena_.tier, ""};
  }

  void told(const SurfaceId& where, const char* attack, bool broken, const std::string& note,
            int attempts = 1) {
    arena_.report.attacked(where, attack, attempts, broken ? Verdict::broken : Verdict::held,
                           broken ? note : "");
  }
  void proved(const SurfaceId& where, const char* attack, bool seen, const std::string& note) {
    arena_.report.attacked(where, attack, 0, seen ? Verdict::held : Verdict::unproven, seen ? "" : note);
  }
  bool answered(const SurfaceId& where, const char* attack, const ApiAnswer& answer) {
    if (answer.status != 0 && answer.status < 500) return true;
    arena_.report.attacked(where, attack, 1, Verdict::failed,
                           fmt::format("{} {}", answer.status, answer.body.substr(0, 200)));
    return false;
  }

  std::string unknown_like(const std::string& value) {
    if (value.size() == 36 && value[8] == '-') return arena_.attackers->uuid();
    if (parse_int64(value))
      return std::to_string(4'000'000'000'000'000'000LL +
                            static_cast<std::int64_t>(arena_.random() % 1'000'000'000));
    return "nobody-" + std::to_string(arena_.random() % 1'000'000'000);
  }

  // Every place in braces filled with something of the victim's (or with something that nobody has).
  std::pair<std::string, std::string> filled(const std::string& path, Secrets& secrets) {
    std::string known, unknown;
    for (std::size_t at = 0; at < path.size(); ++at) {
      if (path[at] != '{') {
        known += path[at];
        unknown += path[at];
        continue;
      }
      const std::size_t end = path.find('}', at);
      const std::string name = path.substr(at + 1, end - at - 1);
      std::string value = name == "tenant" ? arena_.victim_id().to_string()
                          : name == "pack" ? arena_.pack
                                           : some_id();
      std::string nobodys = unknown_like(value);
      known += value;
      unknown += nobodys;
      secrets.known.push_back(std::move(value));
      secrets.unknown.push_back(std::move(nobodys));
      at = end;
    }
    return {known, unknown};
  }

  std::string some_id() const {
    for (const auto& [name, resource] : arena_.victim->pack->resources) {
      const CanaryRow* row = arena_.home_row(resource.relation);
      const auto id = row == nullptr ? std::map<std::string, Cell>::const_iterator() : row->values.find("id");
      if (row != nullptr && id != row->values.end() && id->second) return *id->second;
    }
    return arena_.victim_id().to_string();
  }

  // The same request with what is the victim's and with what nobody has: the answers must not differ.
  void differ(const SurfaceId& where, const char* attack, const std::string& method, const std::string& known,
              const std::string& unknown, const Headers& headers, const std::string& known_body,
              const std::string& unknown_body, const Secrets& secrets,
              const std::string& type = "application/json") {
    const ApiAnswer first = api_.call(method, known, as_attacker(headers), known_body, type);
    const ApiAnswer second = api_.call(method, unknown, as_attacker(headers), unknown_body, type);
    if (!answered(where, attack, first)) return;
    const bool same = comparable(first, secrets.all()) == comparable(second, secrets.all());
    std::string shown = first.body;
    for (const std::string& secret : secrets.known) shown = replaced(shown, secret, "…");
    const bool leaks = arena_.shows_victim(shown);
    told(where, attack, !same || leaks,
         leaks ? "the answer holds values of another tenant"
               : "the answer tells whether another tenant has it");
  }

  const tenancy::Resource* resource(const std::string& name) const {
    const auto found = arena_.victim->pack->resources.find(name);
    return found == arena_.victim->pack->resources.end() ? nullptr : &found->second;
  }

  // The victim's first row of a resource, as its API shows it.
  std::optional<json::Value> victims_row(const std::string& name) {
    const ApiAnswer page = api_.call("GET", "/v1/data/" + name + "?limit=1", as_victim());
    const auto document = json::parse(page.body);
    const json::Value* data = page.ok() && document.ok() ? document->find("data") : nullptr;
    if (data == nullptr || data->as_array() == nullptr || data->as_array()->empty()) return std::nullopt;
    return data->as_array()->front();
  }

  static std::string text_of(const json::Value& value) {
    if (const std::string* text = value.as_string()) return *text;
    return json::serialize(value);
  }

  static std::optional<std::string> id_of(const json::Value& row) {
    const json::Value* id = row.find("id");
    return id == nullptr || id->is_null() ? std::nullopt : std::optional<std::string>(text_of(*id));
  }

  // Is there a row with this id in the answer? Ids may be small numbers, which other values contain.
  static bool shows_id(std::string_view body, const std::string& id) {
    for (const std::string& shown : {"\"id\":\"" + id + "\"", "\"id\":" + id + ",", "\"id\":" + id + "}"}) {
      if (body.find(shown) != std::string_view::npos) return true;
    }
    return false;
  }

  // A member that may be changed, and refers to nothing.
  std::optional<json::Member> changed_member(const std::string& name, const json::Value& row) const {
    const tenancy::Resource* declared = resource(name);
    for (const auto& [column, value] : *row.as_object()) {
      const tenancy::Column* info = declared == nullptr ? nullptr : declared->find_column(column);
      if (info == nullptr || info->read_only || info->generated || column == "id" || value.is_null())
        continue;
      if (info->kind == tenancy::ColumnKind::text || info->kind == tenancy::ColumnKind::boolean ||
          info->kind == tenancy::ColumnKind::integer) {
        return json::Member(column, value);
      }
    }
    return std::nullopt;
  }

  Arena& arena_;
  ApiClient& api_;
};

}  // namespace rowhouse::verify
