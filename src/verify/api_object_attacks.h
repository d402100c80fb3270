// Attacks on the routes of objects: the victim's keys and uploads under the attacker's credential, in paths
// and in bodies, and links that nobody signed.
//
// Inside src/verify alone. Blocking, one thread.
#pragma once

#include <string>

#include "verify/api_duel.h"

namespace rowhouse::verify {

class ApiObjectAttack : public ApiDuel {
 public:
  using ApiDuel::ApiDuel;

  void attack(const SurfaceId& where, const std::string& method, const std::string& path) {
    if (path == "/v1/objects" && method == "GET") return list(where);
    const Named known = victims();
    const Named unknown{unknown_like(known.key), std::string(known.upload.size(), 'B')};
    if (known.key.empty() || known.upload.empty()) {
      proved(where, "the other's object", false, "the victim does not see its own canary here");
      return;
    }
    const std::string mine = place(path, known), nobodys = place(path, unknown);
    const bool has_body = method == "POST";
    differ(where, "the other's object", method, mine, nobodys, {}, has_body ? body(path, known) : "",
           has_body ? body(path, unknown) : "", secrets(known, unknown));
    const ApiAnswer stolen = api_.call(method, mine, as_attacker(), has_body ? body(path, known) : "");
    told(where, "the other's object", arena_.shows_victim(without(stolen.body, known)),
         "the answer holds values of another tenant");
    proved(where, "the other's object", shows_key(api_.call("GET", kList, as_victim()), known.key),
           "the victim's own list lacks its canary");
  }

  // Without a credential: the link is one, and nobody signed these.
  void forged_link(const SurfaceId& where, const std::string& method, const std::string& path) {
    Secrets secrets;
    const auto [known, unknown] = filled(path, secrets);
    for (const std::string& query :
         {std::string(), "?method=" + method + "&expires=4000000000&signature=" + std::string(43, 'A')}) {
      differ(where, "a link that nobody signed", method, known + query, unknown + query, {}, "", "", secrets);
      const ApiAnswer answer = api_.call(method, known + query, {}, "");
      told(where, "a link that nobody signed", answer.status < 400,
           fmt::format("a link without a good signature is answered {}", answer.status));
    }
    proved(where, "a link that nobody signed", api_.call("GET", "/v1/me", as_victim()).ok(),
           "the victim's key is no longer good");
  }

 private:
  static constexpr const char* kList = "/v1/objects?limit=1000";

  // What routes of objects are about.
  struct Named {
    std::string key, upload;
  };

  // As the victim's own lists show them.
  Named victims() { return {first_member(kList, "key"), first_member("/v1/object-uploads", "id")}; }
  std::string first_member(const std::string& path, const char* name) {
    const ApiAnswer page = api_.call("GET", path, as_victim());
    const auto document = json::parse(page.body);
    const json::Value* data = page.ok() && document.ok() ? document->find("data") : nullptr;
    if (data == nullptr || data->as_array() == nullptr || data->as_array()->empty()) return "";
    const json::Value* member = data->as_array()->front().find(name);
    return member == nullptr ? "" : text_of(*member);
  }

  static bool shows_key(const ApiAnswer& answer, const std::string& key) {
    return answer.ok() && answer.body.find("\"" + key + "\"") != std::string::npos;
  }

  static std::string place(std::string path, const Named& named) {
    path = replaced(path, "{object...}", percent_encode(named.key));
    path = replaced(path, "{upload}", percent_encode(named.upload));
    return replaced(path, "{part}", "1");
  }

  static std::string body(const std::string& path, const Named& named) {
    const json::Value key(named.key);
    if (path.ends_with("/remove")) return json::serialize(json::Object{{"keys", json::Array{key}}});
    if (path.ends_with("/copy")) return json::serialize(json::Object{{"from", key}, {"to", "canary-copy"}});
    if (path.ends_with("/complete")) return "{}";
    return json::serialize(json::Object{{"key", key}});
  }

  static Secrets secrets(const Named& known, const Named& unknown) {
    return {{known.key, percent_encode(known.key), known.upload},
            {unknown.key, percent_encode(unknown.key), unknown.upload}};
  }
  static std::string without(std::string text, const Named& named) {
    for (const std::string& word : {named.key, percent_encode(named.key), named.upload})
      text = replaced(text, word, "…");
    return text;
  }

  void list(const SurfaceId& where) {
    for (const char* path : {"/v1/objects?limit=1000", "/v1/objects?limit=1000&delimiter=/"}) {
      const ApiAnswer answer = api_.call("GET", path, as_attacker());
      if (!answered(where, "list", answer)) return;
      told(where, "list", arena_.shows_victim(answer.body), "the answer holds objects of another tenant");
    }
    const std::string key = victims().key;
    proved(where, "list", !key.empty(), "the victim does not see its own canary here");
  }
};

}  // namespace rowhouse::verify
