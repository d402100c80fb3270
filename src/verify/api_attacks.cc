#include "verify/api_attacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "base/text.h"
#include "verify/api_client.h"
#include "verify/api_object_attacks.h"
#include "verify/api_write_attacks.h"

namespace rowhouse::verify {
namespace {

// Few and short: the server has other work.
constexpr int kThreadsAtOnce = 8;
constexpr int kTurnsAtOnce = 25;
constexpr const char* kMethods[] = {"get", "post", "put", "patch", "delete"};

const std::string* string_member(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  return value == nullptr ? nullptr : value->as_string();
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

class ApiAttack : public ApiDuel {
 public:
  ApiAttack(Arena& arena, ApiClient& api) : ApiDuel(arena, api), writes_(arena, api), objects_(arena, api) {}

  void run() {
    const ApiAnswer answer = api_.call("GET", "/openapi.json?pack=" + percent_encode(arena_.pack));
    const auto document = json::parse(answer.body, 64);
    const json::Value* paths = answer.ok() && document.ok() ? document->find("paths") : nullptr;
    if (paths == nullptr || paths->as_object() == nullptr) {
      arena_.report.failures.push_back(fmt::format("{}, {}: the API's document cannot be read: {} {}",
                                                   arena_.pack, arena_.tier, answer.status,
                                                   answer.ok() ? "" : answer.body));
      return;
    }
    // First what only looks, then what writes rows that bear the victim's marks, because the attacker knows
    // them.
    const std::string before = arena_.whole_victim_state();
    for (const auto& [path, item] : *paths->as_object()) {
      for (const char* method : kMethods) {
        const json::Value* operation = item.find(method);
        const std::string* audience =
            operation == nullptr ? nullptr : string_member(*operation, "x-rowhouse-audience");
        if (operation != nullptr) route(upper(method), path, audience == nullptr ? "" : *audience);
      }
    }
    if (!listed_.empty()) all_at_once(listed_[arena_.random() % listed_.size()]);
    for (const std::string& name : created_) writes_.copy(name);
    const bool untouched = arena_.whole_victim_state() == before;
    arena_.report.attacked(arena_.surface("session", "canaries"), "compare after the API", 1,
                           untouched ? Verdict::held : Verdict::broken,
                           untouched ? "" : "rows of the victim changed when the attacker used the API");
    for (const std::string& name : patched_) writes_.control_patch(name);
    for (const std::string& name : created_) writes_.control_create(name);
    for (const std::string& name : imported_) writes_.control_import(name);
    for (const std::string& name : removed_) writes_.control_remove(name);
  }

 private:
  void route(const std::string& method, const std::string& path, const std::string& audience) {
    if (arena_.stopped()) return;
    if (audience != "tenant" && arena_.place != Arena::Place::first) return;
    const SurfaceId where = surface(method, path);
    arena_.report.found(where);
    if (audience == "platform") return control_plane(where, method, path);
    if (audience == "open") return open(where, method, path);
    if (audience != "tenant") return;  // nobody knows who may call it: stays uncovered
    without_credential(where, method, path);
    name_the_other(where, method, path);
    const auto parts = split(path, '/');  // "", "v1", "data", "leads", "{id}"
    const std::string family(parts.size() > 2 ? parts[2] : "");
    const std::string target(parts.size() > 3 ? parts[3] : "");
    const bool is_item = parts.size() == 5 && parts[4] == "{id}";
    if (family == "data" && parts.size() == 4 && method == "GET") return list(where, target);
    if (family == "data" && parts.size() == 4 && method == "POST") {
      created_.push_back(target);
      return writes_.create(where, target);
    }
    if (family == "data" && is_item) return item(where, method, target);
    if (family == "import" && parts.size() == 4 && method == "POST") {
      imported_.push_back(target);
      return writes_.import_rows(where, target);
    }
    if (family == "export" && parts.size() == 4 && method == "GET") return export_rows(where, target);
    if (family == "rpc" && parts.size() == 4 && method == "POST") return call(where, target);
    const bool is_of_people = family == "users" || family == "roles" || family == "auth" ||
                              family == "keys" || family == "me" || family == "invitations" ||
                              family == "sso";
    if (family == "objects" || family == "object-uploads") return objects_.attack(where, method, path);
    if ((is_of_people || family == "storage") && method != "GET" && path.find('{') == std::string::npos)
      return foreign_body(where, method, path);
    unknown_route(where, method, path);
  }

  void without_credential(const SurfaceId& where, const std::string& method, const std::string& path) {
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    const std::string body = method == "GET" || method == "DELETE" ? "" : "{}";
    for (const Headers& credential : {Headers{}, Headers{{"X-Tenant-Key", "tk_" + std::string(43, 'A')}},
                                      Headers{{"Authorization", "Bearer " + arena_.victim_key}},
                                      Headers{{"X-Tenant-ID", arena_.victim_id().to_string()}}}) {
      const ApiAnswer answer = api_.call(method, known, credential, body);
      if (!answered(where, "without a good credential", answer)) return;
      told(where, "without a good credential", answer.status != 401 && answer.status != 403,
           fmt::format("answered {}", answer.status));
    }
  }

  // The attacker's key, and the victim's name beside it.
  void name_the_other(const SurfaceId& where, const std::string& method, const std::string& path) {
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    const std::string body = method == "GET" || method == "DELETE" ? "" : "{}";
    const std::string nobody = arena_.attackers->uuid();
    const ApiAnswer theirs =
        api_.call(method, known, as_attacker({{"X-Tenant-ID", arena_.victim_id().to_string()}}), body);
    const ApiAnswer slug =
        api_.call(method, known, as_attacker({{"X-Tenant-ID", arena_.victim->slug}}), body);
    const ApiAnswer nobodys = api_.call(method, known, as_attacker({{"X-Tenant-ID", nobody}}), body);
    if (!answered(where, "name the other tenant", theirs)) return;
    const auto same = [&](const ApiAnswer& a, const ApiAnswer& b) {
      return comparable(a, {arena_.victim_id().to_string(), arena_.victim->slug, nobody}) ==
             comparable(b, {arena_.victim_id().to_string(), arena_.victim->slug, nobody});
    };
    const bool refused = theirs.status == 403 && slug.status == 403;
    told(where, "name the other tenant", !refused || !same(theirs, nobodys) || !same(slug, nobodys),
         "a request that names another tenant than its key's is served, or told whether there is such a "
         "tenant",
         2);
  }

  // reading

  void list(const SurfaceId& where, const std::string& name) {
    const std::string path = "/v1/data/" + name;
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    proved(where, "list", id.has_value(), "the victim does not see its own canary here");
    if (!id) return;
    listed_.push_back(name);
    shows_home(where, name);
    search(where, "list", path + "?limit=1000&count=exact");
    for (const char* condition : {"id=is.not_null", "order=-id", "order=id"})
      search(where, "list", path + "?limit=1000&count=exact&" + condition);
    if (const tenancy::Resource* declared = resource(name)) {
      for (const auto& order : declared->orders) {
        if (!order.empty())
          search(
              where, "sort",
              path + "?limit=1000&count=exact&order=" + (order[0].descending ? "-" : "") + order[0].column);
      }
    }
    for (const auto& [column, value] : *row->as_object()) {
      if (value.is_null() || value.as_array() != nullptr || value.as_object() != nullptr) continue;
      const std::string condition = column + "=eq." + percent_encode(text_of(value));
      const ApiAnswer answer = api_.call("GET", path + "?count=exact&" + condition, as_attacker());
      if (!answered(where, "filter", answer)) continue;
      const bool mine = arena_.shows_victim(replaced(answer.body, text_of(value), "…"));
      told(where, "filter", mine, "a filter finds rows of another tenant");
    }
    for (const std::string& condition :
         {"id=eq." + percent_encode(*id), "id=in.(" + percent_encode(*id) + ")"}) {
      const ApiAnswer answer = api_.call("GET", path + "?count=exact&" + condition, as_attacker());
      const ApiAnswer control = api_.call("GET", path + "?count=exact&" + condition, as_victim());
      if (!answered(where, "filter", answer)) continue;
      told(where, "filter",
           answer.body.find("\"data\":[]") == std::string::npos ||
               answer.body.find("\"count\":0") == std::string::npos,
           "a filter finds rows of another tenant");
      proved(where, "filter", control.ok() && control.body.find("\"data\":[]") == std::string::npos,
             "the victim's own filter finds nothing");
    }
    cursor(where, path);
  }

  // Canaries lie in every schema of the arena: those that count as the victim's are where its placement says.
  void shows_home(const SurfaceId& where, const std::string& name) {
    const tenancy::Resource* declared = resource(name);
    const CanaryRow* home = declared == nullptr ? nullptr : arena_.home_row(declared->relation);
    if (home == nullptr) return;  // a view
    const auto id = home->values.find("id");
    if (id == home->values.end() || !id->second) return;
    const ApiAnswer page = api_.call("GET", "/v1/data/" + name + "?limit=1000", as_victim());
    proved(where, "list", page.ok() && shows_id(page.body, *id->second),
           "the victim is not shown the row that lies where its placement says");
  }

  void search(const SurfaceId& where, const char* attack, const std::string& path) {
    const ApiAnswer answer = api_.call("GET", path, as_attacker());
    if (!answered(where, attack, answer)) return;
    told(where, attack,
         arena_.shows_victim(answer.body) ||
             answer.body.find(arena_.victim_id().to_string()) != std::string::npos,
         "the answer holds rows of another tenant");
  }

  void cursor(const SurfaceId& where, const std::string& path) {
    const ApiAnswer page = api_.call("GET", path + "?limit=1", as_victim());
    const auto document = json::parse(page.body);
    const std::string* next = document.ok() ? string_member(*document, "next_cursor") : nullptr;
    if (next == nullptr) return;  // one row, one page
    std::string broken = *next;
    broken.replace(broken.size() - 8, 8, broken.ends_with("AAAAAAAA") ? "BBBBBBBB" : "AAAAAAAA");
    Secrets secrets;
    secrets.known = {*next};
    secrets.unknown = {broken};
    differ(where, "cursor of the other", "GET", path + "?limit=1&cursor=" + percent_encode(*next),
           path + "?limit=1&cursor=" + percent_encode(broken), {}, "", "", secrets);
    const ApiAnswer stolen =
        api_.call("GET", path + "?limit=1&cursor=" + percent_encode(*next), as_attacker());
    told(where, "cursor of the other", stolen.status != 400,
         fmt::format("a cursor of another tenant is accepted: {}", stolen.status));
    const ApiAnswer control =
        api_.call("GET", path + "?limit=1&cursor=" + percent_encode(*next), as_victim());
    proved(where, "cursor of the other", control.ok(), "the victim's own cursor does not work");
  }

  void item(const SurfaceId& where, const std::string& method, const std::string& name) {
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    if (!id) {
      proved(where, "by id", false, "the victim does not see its own canary here");
      return;
    }
    const std::string nobody = unknown_like(*id);
    const std::string base = "/v1/data/" + name + "/";
    const ApiAnswer own = api_.call("GET", base + percent_encode(*id), as_victim());
    proved(where, "by id", own.ok(), "the victim cannot read its own row");
    Secrets secrets;
    secrets.known = {*id};
    secrets.unknown = {nobody};
    std::string body;
    if (method == "PATCH") {
      const auto change = changed_member(name, *row);
      if (!change) return;
      body = json::serialize(json::Value(json::Object{*change}));
      secrets.known.push_back(text_of(change->second));
      secrets.unknown.push_back(text_of(change->second));
    }
    const std::string header = method == "GET" ? "If-None-Match" : "If-Match";
    for (const Headers& headers :
         {Headers{}, Headers{{header, own.header("ETag")}}, Headers{{header, "*"}}}) {
      if (!headers.empty() && headers[0].second.empty()) continue;
      differ(where, headers.empty() ? "by id" : "by id and ETag", method, base + percent_encode(*id),
             base + percent_encode(nobody), headers, body, body, secrets);
    }
    const ApiAnswer stolen = api_.call(method, base + percent_encode(*id), as_attacker(), body);
    told(where, "by id", stolen.status != 404 && stolen.status != 403,
         fmt::format("a row of another tenant is answered {}", stolen.status));
    if (method == "PATCH") patched_.push_back(name);
    if (method == "DELETE") removed_.push_back(name);
  }

  void export_rows(const SurfaceId& where, const std::string& name) {
    for (const std::string& format : {std::string("csv"), std::string("ndjson")}) {
      const std::string path = "/v1/export/" + name + "?format=" + format;
      search(where, "export", path);
      const ApiAnswer control = api_.call("GET", path, as_victim());
      const auto row = victims_row(name);
      const auto id = row ? id_of(*row) : std::nullopt;
      proved(where, "export", control.ok() && id && control.body.find(*id) != std::string::npos,
             "the victim's own export lacks its canary");
      if (id) {
        Secrets secrets;
        secrets.known = {*id};
        secrets.unknown = {unknown_like(*id)};
        differ(where, "export with a filter", "GET", path + "&id=eq." + percent_encode(*id),
               path + "&id=eq." + percent_encode(secrets.unknown[0]), {}, "", "", secrets);
      }
    }
  }

  void call(const SurfaceId& where, const std::string& name) {
    const auto found = arena_.victim->pack->functions.find(name);
    if (found == arena_.victim->pack->functions.end()) return;
    json::Value known{json::Object{}}, unknown{json::Object{}};
    Secrets secrets;
    for (const tenancy::FunctionArgument& argument : found->second.arguments) {
      const bool is_text = argument.kind == tenancy::ColumnKind::text;
      if (argument.kind == tenancy::ColumnKind::uuid || is_text) {
        const std::string value = is_text ? arena_.victims->mark() : some_id();
        const std::string nobodys = unknown_like(value);
        known.set(argument.name, value);
        unknown.set(argument.name, nobodys);
        secrets.known.push_back(value);
        secrets.unknown.push_back(nobodys);
      } else if (!argument.has_default) {
        const json::Value neutral =
            argument.kind == tenancy::ColumnKind::boolean ? json::Value(true) : json::Value(0);
        known.set(argument.name, neutral);
        unknown.set(argument.name, neutral);
      }
    }
    const std::string path = "/v1/rpc/" + name;
    differ(where, "call with the other's values", "POST", path, path, {}, json::serialize(known),
           json::serialize(unknown), secrets);
    json::Value assigned = known;
    assigned.set("tenant_id", arena_.victim_id().to_string());
    const ApiAnswer named = api_.call("POST", path, as_attacker(), json::serialize(assigned));
    told(where, "assign the tenant", named.ok(), "a call may name the tenant that it is for");
    const ApiAnswer mine = api_.call("POST", path, as_attacker(), json::serialize(unknown));
    told(where, "call", arena_.shows_victim(mine.body), "the answer holds values of another tenant");
    const ApiAnswer control = api_.call("POST", path, as_victim(), json::serialize(known));
    proved(where, "call", control.ok(), fmt::format("the victim's own call is answered {}", control.status));
  }

  // writing

  // Requests of both tenants at the same time share connections to PostgreSQL: each answer must be its own
  // tenant's.
  void all_at_once(const std::string& name) {
    const SurfaceId where = surface("GET", "/v1/data/" + name);
    const auto row = victims_row(name);
    const auto id = row ? id_of(*row) : std::nullopt;
    if (!id) return;
    const std::string path = "/v1/data/" + name + "?limit=1000";
    std::atomic<int> leaks{0}, blind{0};
    const auto hammer = [&](bool victim) {
      for (int turn = 0; turn < kTurnsAtOnce; ++turn) {
        const ApiAnswer answer = api_.call("GET", path, victim ? as_victim() : as_attacker());
        const bool shows = shows_id(answer.body, *id);
        if (victim && answer.ok() && !shows) ++blind;
        if (!victim && (shows || arena_.shows_victim(answer.body))) ++leaks;
      }
    };
    std::vector<std::thread> threads;
    threads.reserve(kThreadsAtOnce);
    for (int i = 0; i < kThreadsAtOnce; ++i) threads.emplace_back(hammer, i % 2 == 0);
    for (std::thread& thread : threads) thread.join();
    told(where, "many at once", leaks > 0 || blind > 0,
         "requests at the same time are answered with each other's rows", kThreadsAtOnce * kTurnsAtOnce);
  }

  // A route that nobody told us about. Reading one is attacked with the victim's ids in every place; whatever
  // takes a body stays uncovered until somebody says here how to attack it.
  void unknown_route(const SurfaceId& where, const std::string& method, const std::string& path) {
    if (method != "GET" && path.find('{') == std::string::npos) {
      // What the routes above tried does not count for a body that nobody understands.
      arena_.report.attacked(where, "attack for this route", 0, Verdict::unproven,
                             "nobody knows how to attack this route: add it to api_attacks.cc");
      return;
    }
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    const std::string body = method == "GET" || method == "DELETE" ? "" : "{}";
    if (path.find('{') != std::string::npos)
      differ(where, "the other's ids", method, known, unknown, {}, body, body, secrets);
    if (method == "GET") search(where, "read", known);
    const ApiAnswer control = api_.call("GET", known, as_victim());
    if (method == "GET")
      proved(where, "read", control.status != 0 && control.status < 500, "the victim gets no answer");
  }

  void control_plane(const SurfaceId& where, const std::string& method, const std::string& path) {
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    const std::string body = method == "GET" || method == "DELETE" ? "" : "{\"name\": \"Taken over\"}";
    for (const Headers& credential :
         {Headers{}, as_attacker(), Headers{{"Authorization", "Bearer " + arena_.attacker_key}},
          Headers{{"Authorization", "Bearer rha_" + std::string(43, 'A')}}}) {
      const ApiAnswer first = api_.call(method, known, credential, body);
      const ApiAnswer second = api_.call(method, unknown, credential, body);
      if (!answered(where, "with a tenant's key", first)) return;
      const bool refused = first.status == 401 || first.status == 403;
      told(where, "with a tenant's key",
           !refused || comparable(first, secrets.all()) != comparable(second, secrets.all()),
           refused ? "the refusal tells whether there is such an object"
                   : fmt::format("a tenant's key is answered {}", first.status),
           2);
    }
  }

  // A body that names the other tenant, or something of it, is answered as one that names nobody.
  void foreign_body(const SurfaceId& where, const std::string& method, const std::string& path) {
    const Secrets secrets{{arena_.victim_id().to_string(), some_id()},
                          {arena_.attackers->uuid(), unknown_like(some_id())}};
    const auto body = [](const std::vector<std::string>& ids) {
      return fmt::format(R"({{"tenant": "{0}", "tenant_id": "{0}", "user": "{1}", "id": "{1}"}})", ids[0],
                         ids[1]);
    };
    differ(where, "name the other in the body", method, path, path, {}, body(secrets.known),
           body(secrets.unknown), secrets);
    proved(where, "name the other in the body", api_.call("GET", "/v1/me", as_victim()).ok(),
           "the victim's key is no longer good");
  }

  // Signing in at the other tenant, by its names, and with its credential as a token.
  void sign_in(const SurfaceId& where, const std::string& path) {
    const std::string nobodys_key = "tk_" + std::string(43, 'A');
    for (const std::string& name : {arena_.victim_id().to_string(), arena_.victim->slug}) {
      const Secrets secrets{{name, arena_.victim_key}, {unknown_like(name), nobodys_key}};
      const std::string person = unknown_like("nobody");  // another each time: attempts are counted
      const auto body = [&](const std::vector<std::string>& words) {
        if (!path.ends_with("/login")) return fmt::format(R"({{"refresh_token": "{}"}})", words[1]);
        return fmt::format(R"({{"email": "{2}@canary.invalid", "password": "{1}", "tenant": "{0}"}})",
                           words[0], words[1], person);
      };
      differ(where, "sign in at the other tenant", "POST", path, path, {}, body(secrets.known),
             body(secrets.unknown), secrets);
    }
    proved(where, "sign in at the other tenant", api_.call("GET", "/v1/me", as_victim()).ok(),
           "the victim's key is no longer good");
  }

  void open(const SurfaceId& where, const std::string& method, const std::string& path) {
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    if (method == "POST" && path.starts_with("/v1/auth/")) return sign_in(where, path);
    if (method != "GET" && path.starts_with("/v1/object-links/"))
      return objects_.forged_link(where, method, path);
    if (method != "GET") {
      arena_.report.attacked(where, "attack for this route", 0, Verdict::unproven,
                             "nobody knows how to attack this open route: add it to api_attacks.cc");
      return;
    }
    for (const Headers& headers : {Headers{}, as_attacker(), as_victim()}) {
      const ApiAnswer answer = api_.call(method, known, headers);
      if (!answered(where, "look for tenants", answer)) return;
      const std::string shown = replaced(answer.body, some_id(), "…");
      const bool leaks = arena_.shows_victim(shown) ||
                         shown.find(arena_.victim_id().to_string()) != std::string::npos ||
                         shown.find(arena_.victim->slug) != std::string::npos;
      told(where, "look for tenants", leaks, "an open route tells of a tenant");
    }
  }

  ApiWriteAttack writes_;
  ApiObjectAttack objects_;
  std::vector<std::string> patched_, removed_, created_, imported_, listed_;
};

}  // namespace

void attack_api(Arena& arena, const std::string& url, const std::string& ca_file) {
  if (url.empty()) {
    arena.report.failures.push_back(arena.pack + ", " + arena.tier +
                                    ": the API was not attacked, because its address is not known");
    return;
  }
  ApiClient api(url, ca_file);
  ApiAttack(arena, api).run();
}

}  // namespace rowhouse::verify
