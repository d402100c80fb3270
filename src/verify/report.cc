#include "verify/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/ed25519.h"

namespace rowhouse::verify {
namespace {

// From best to worst: a worse verdict replaces a better one.
int badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::refused:
      return 0;
    case Verdict::held:
      return 1;
    case Verdict::unproven:
      return 2;
    case Verdict::failed:
      return 3;
    case Verdict::broken:
      return 4;
  }
  return 4;
}

json::Value id_document(const SurfaceId& id) {
  json::Value value;
  value.set("kind", id.kind);
  value.set("name", id.name);
  value.set("pack", id.pack);
  value.set("tier", id.tier);
  value.set("database", id.database);
  return value;
}

bool is_bad(Verdict verdict) { return badness(verdict) >= badness(Verdict::unproven); }

// RFC 8785, section 3.2.2.2: the two-character escapes where there are any, \u00xx for other control
// characters.
void append_canonical_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_canonical(std::string& out, const json::Value& value) {
  if (const auto* text = value.as_string()) {
    append_canonical_string(out, *text);
  } else if (const auto* array = value.as_array()) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ',';
      append_canonical(out, (*array)[i]);
    }
    out += ']';
  } else if (const auto* object = value.as_object()) {
    std::vector<const json::Member*> members;
    for (const json::Member& member : *object) members.push_back(&member);
    std::sort(members.begin(), members.end(),
              [](const auto* a, const auto* b) { return a->first < b->first; });
    out += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out += ',';
      append_canonical_string(out, members[i]->first);
      out += ':';
      append_canonical(out, members[i]->second);
    }
    out += '}';
  } else {
    json::append(out, value);
  }
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::held:
      return "held";
    case Verdict::refused:
      return "refused";
    case Verdict::broken:
      return "broken";
    case Verdict::unproven:
      return "unproven";
    case Verdict::failed:
      return "failed";
  }
  return "failed";
}

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::proven:
      return "proven";
    case Outcome::broken:
      return "broken";
    case Outcome::incomplete:
      return "incomplete";
  }
  return "incomplete";
}

void Report::found(SurfaceId where) {
  Surface& surface = surfaces_[where];
  surface.id = std::move(where);
}

void Report::attacked(const SurfaceId& where, std::string_view attack, std::int64_t attempts, Verdict verdict,
                      std::string note) {
  Surface& surface = surfaces_[where];
  surface.id = where;
  auto place = std::find_if(surface.attacks.begin(), surface.attacks.end(),
                            [&](const Attack& known) { return known.name == attack; });
  if (place == surface.attacks.end()) {
    surface.attacks.push_back(Attack{std::string(attack), attempts, verdict, std::move(note)});
    return;
  }
  place->attempts += attempts;
  if (badness(verdict) > badness(place->verdict)) {
    place->verdict = verdict;
    place->note = std::move(note);
  }
}

std::vector<SurfaceId> Report::uncovered() const {
  std::vector<SurfaceId> ids;
  for (const auto& [surface_id, surface] : surfaces_) {
    const bool attacked = std::any_of(
        surface.attacks.begin(), surface.attacks.end(),
        [](const Attack& attack) { return attack.attempts > 0 && attack.verdict != Verdict::failed; });
    if (!attacked) ids.push_back(surface_id);
  }
  return ids;
}

Outcome Report::outcome() const {
  bool complete = failures.empty() && !surfaces_.empty() && uncovered().empty();
  for (const auto& [surface_id, surface] : surfaces_) {
    for (const Attack& attack : surface.attacks) {
      if (attack.verdict == Verdict::broken) return Outcome::broken;
      if (is_bad(attack.verdict)) complete = false;
    }
  }
  return complete ? Outcome::proven : Outcome::incomplete;
}

std::int64_t Report::attempts() const {
  std::int64_t sum = 0;
  for (const auto& [surface_id, surface] : surfaces_) {
    for (const Attack& attack : surface.attacks) sum += attack.attempts;
  }
  return sum;
}

std::int64_t Report::findings() const {
  std::int64_t sum = 0;
  for (const auto& [surface_id, surface] : surfaces_) {
    for (const Attack& attack : surface.attacks) sum += is_bad(attack.verdict) ? 1 : 0;
  }
  return sum;
}

json::Value Report::document() const {
  json::Array surfaces, bare, findings_list, used, limits, problems, pack_names, tier_names;
  std::set<std::string> used_names;
  for (const auto& [surface_id, surface] : surfaces_) {
    json::Value entry = id_document(surface_id);
    json::Array attacks;
    for (const Attack& attack : surface.attacks) {
      used_names.insert(attack.name);
      json::Value one;
      one.set("name", attack.name);
      one.set("attempts", attack.attempts);
      one.set("result", verdict_name(attack.verdict));
      if (!attack.note.empty()) one.set("note", attack.note);
      if (is_bad(attack.verdict)) {
        json::Value finding = id_document(surface_id);
        finding.set("attack", attack.name);
        finding.set("severity", attack.verdict == Verdict::broken ? "critical" : "warning");
        finding.set("result", verdict_name(attack.verdict));
        finding.set("message", attack.note);
        findings_list.push_back(std::move(finding));
      }
      attacks.push_back(std::move(one));
    }
    entry.set("attacks", std::move(attacks));
    surfaces.push_back(std::move(entry));
  }
  for (const SurfaceId& one : uncovered()) bare.push_back(id_document(one));
  for (const Technique& technique : techniques()) {
    if (used_names.count(technique.name) == 0) continue;
    json::Value one;
    one.set("name", technique.name);
    one.set("how", technique.how);
    one.set("control", technique.control);
    used.push_back(std::move(one));
  }
  for (const Technique& technique : techniques()) used_names.erase(technique.name);
  for (const std::string& name : used_names) {
    json::Value one;
    one.set("name", name);
    one.set("how", "The attacker's session tries it; nothing about it may work.");
    one.set("control", "None: it must be refused to everybody.");
    used.push_back(std::move(one));
  }
  for (const std::string& limit : limits_) limits.emplace_back(limit);
  for (const std::string& failure : failures) problems.emplace_back(failure);
  for (const std::string& pack : packs) pack_names.emplace_back(pack);
  for (const std::string& tier : tiers) tier_names.emplace_back(tier);
  json::Value document;
  document.set("format", "rowhouse-verification-1");
  document.set("id", id);
  document.set("started_at", started_at);
  document.set("finished_at", finished_at);
  document.set("installation", installation);
  document.set("version", version);
  document.set("seed", seed);
  document.set("packs", std::move(pack_names));
  document.set("tiers", std::move(tier_names));
  document.set("result", outcome_name(outcome()));
  document.set("attempts", attempts());
  document.set("failures", std::move(problems));
  document.set("findings", std::move(findings_list));
  document.set("uncovered", std::move(bare));
  document.set("limits", std::move(limits));
  document.set("techniques", std::move(used));
  document.set("surfaces", std::move(surfaces));
  return document;
}

std::string canonical_text(const json::Value& document) {
  json::Object without;
  if (const auto* object = document.as_object()) {
    for (const json::Member& member : *object) {
      if (member.first != "signature") without.push_back(member);
    }
  }
  std::string out;
  append_canonical(out, json::Value(std::move(without)));
  return out;
}

void sign(json::Value& document, std::string_view seed) {
  json::Value signature;
  signature.set("algorithm", kSignatureAlgorithm);
  signature.set("public_key", to_base64url(crypto::ed25519_public_key(seed)));
  signature.set("value", to_base64url(crypto::ed25519_sign(seed, canonical_text(document))));
  document.set("signature", std::move(signature));
}

Result<void> check_signature(const json::Value& document, std::string_view public_key) {
  const auto bad = [](const char* what) { return Error(ErrorCode::validation_failed, what); };
  const json::Value* signature = document.find("signature");
  const auto part = [&](const char* name) -> std::string {
    const json::Value* value = signature == nullptr ? nullptr : signature->find(name);
    return value != nullptr && value->as_string() != nullptr ? *value->as_string() : "";
  };
  if (signature == nullptr) return bad("the report is not signed");
  if (part("algorithm") != kSignatureAlgorithm) return bad("the signature's algorithm is not Ed25519");
  const auto key = from_base64url(part("public_key"));
  const auto value = from_base64url(part("value"));
  if (!key || !value || key->size() != crypto::kEd25519KeyBytes ||
      value->size() != crypto::kEd25519SignatureBytes) {
    return bad("the signature is malformed");
  }
  if (!public_key.empty() && public_key != *key) return bad("the report was signed by another installation");
  if (!crypto::ed25519_verify(*key, canonical_text(document), *value)) {
    return bad("the signature does not fit the report: it was changed after it was signed");
  }
  return {};
}

}  // namespace rowhouse::verify
