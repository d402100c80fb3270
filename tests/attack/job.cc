#include "attack/job.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/json.h"

namespace rowhouse::attack {

namespace {

const json::Value& member(const json::Value& value, std::string_view name) {
  const json::Value* found = value.find(name);
  if (found == nullptr) fail("the job has no member " + std::string(name));
  return *found;
}

std::string text(const json::Value& value, std::string_view name) {
  const std::string* found = member(value, name).as_string();
  if (found == nullptr) fail(std::string(name) + " is no text");
  return *found;
}

std::int64_t number(const json::Value& value, std::string_view name) {
  const auto found = member(value, name).as_int64();
  if (!found) fail(std::string(name) + " is no number");
  return *found;
}

bool flag(const json::Value& value, std::string_view name) {
  const bool* found = member(value, name).as_bool();
  if (found == nullptr) fail(std::string(name) + " is no flag");
  return *found;
}

const json::Array& array(const json::Value& value) {
  if (value.as_array() == nullptr) fail("an array was expected");
  return *value.as_array();
}

const json::Object& object(const json::Value& value) {
  if (value.as_object() == nullptr) fail("an object was expected");
  return *value.as_object();
}

Words words(const json::Value& value) {
  Words found;
  for (const auto& [name, word] : object(value)) {
    if (word.as_string() == nullptr) fail(name + " is no text");
    found.emplace(name, *word.as_string());
  }
  return found;
}

Loot loot(const json::Value& value) { return {words(member(value, "real")), words(member(value, "ghost"))}; }

Tenant tenant(const json::Value& value) {
  Tenant made;
  made.pack = text(value, "pack");
  made.tier = text(value, "tier");
  made.id = text(value, "id");
  made.key = text(value, "key");
  made.marker = text(value, "marker");
  made.self = loot(value);
  for (const auto& [resource, kinds] : object(member(value, "loot"))) {
    LootRows rows;
    rows.resource = resource;
    for (const auto& [kind, some] : object(kinds)) {
      for (const auto& row : array(some)) rows.kinds[kind].push_back(loot(row));
    }
    made.loot.push_back(std::move(rows));
  }
  return made;
}

Technique technique(const json::Value& value) {
  Technique made;
  made.name = text(value, "name");
  made.route = text(value, "route");
  made.method = text(value, "method");
  made.path = text(value, "path");
  made.rows = text(value, "rows");
  made.resource = text(value, "resource");
  made.body = text(value, "body");
  made.control = flag(value, "control");
  made.any_row = flag(value, "any_row");
  made.weight = number(value, "weight");
  for (const auto& header : array(member(value, "headers"))) made.headers.push_back(*header.as_string());
  for (const auto& status : array(member(value, "expect"))) {
    made.expect.push_back(static_cast<int>(status.as_int64().value_or(0)));
  }
  if (!made.control && made.expect.empty()) fail(made.name + " expects nothing");
  return made;
}

}  // namespace

const std::vector<Loot>* Tenant::rows(std::string_view resource, std::string_view kind) const {
  for (const auto& rows : loot) {
    if (rows.resource != resource) continue;
    const auto found = rows.kinds.find(kind);
    return found == rows.kinds.end() ? nullptr : &found->second;
  }
  return nullptr;
}

Job load_job(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path);
  std::ostringstream content;
  content << file.rdbuf();
  const auto parsed = json::parse(content.str());
  if (!parsed.ok()) fail(path + " is no JSON");
  const json::Value& root = *parsed;
  Job job;
  job.marker_prefix = text(root, "marker_prefix");
  job.marker_digits = static_cast<std::size_t>(number(root, "marker_digits"));
  job.port = static_cast<int>(number(root, "port"));
  for (const auto& value : array(member(root, "tenants"))) {
    (text(value, "part") == "attacker" ? job.attackers : job.victims).push_back(job.tenants.size());
    job.tenants.push_back(tenant(value));
    job.by_marker.emplace(job.tenants.back().marker, job.tenants.size() - 1);
  }
  for (const auto& [pack, some] : object(member(root, "techniques"))) {
    PackTechniques& made = job.techniques[pack];
    for (const auto& value : array(some)) {
      made.all.push_back(technique(value));
      made.total_weight += made.all.back().weight;
    }
  }
  if (job.attackers.empty() || job.victims.empty()) fail("there must be attackers and victims");
  return job;
}

void fail(const std::string& message) {
  std::fprintf(stderr, "random_attack: %s\n", message.c_str());
  std::exit(2);
}

}  // namespace rowhouse::attack
