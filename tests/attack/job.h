// What the attack knows: tenants, their keys, what could be known of the victims' rows, and the techniques.
// Read from the JSON that tests/support/attack_world.py writes; see tests/support/attack_templates.py for the
// words.
//
// Everything is loaded once and never changes. Errors end the program: there is nothing to attack with half a
// job.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rowhouse::attack {

// Placeholder → value.
using Words = std::unordered_map<std::string, std::string>;

// The same thing twice: as a victim has it, and as nobody has it.
struct Loot {
  Words real, ghost;
};

struct LootRows {
  std::string resource;
  std::map<std::string, std::vector<Loot>, std::less<>> kinds;  // probe, refers, copy, cursor, idempotency
};

struct Tenant {
  std::string pack, tier, id, key, marker;
  Loot self;
  std::vector<LootRows> loot;  // empty for attackers

  const std::vector<Loot>* rows(std::string_view resource, std::string_view kind) const;
};

struct Technique {
  std::string name, route, method, path, rows, resource, body;
  std::vector<std::string> headers;
  bool control = false;     // the answer must be the one that a ghost gets
  std::vector<int> expect;  // otherwise: one of these statuses
  bool any_row = false;
  std::int64_t weight = 1;
};

struct PackTechniques {
  std::vector<Technique> all;
  std::int64_t total_weight = 0;
};

struct Job {
  std::string marker_prefix;
  std::size_t marker_digits = 0;
  int port = 0;
  std::vector<Tenant> tenants;
  std::vector<std::size_t> attackers, victims;  // into tenants
  std::map<std::string, PackTechniques, std::less<>> techniques;
  std::unordered_map<std::string, std::size_t> by_marker;
};

Job load_job(const std::string& path);
[[noreturn]] void fail(const std::string& message);  // status 2

}  // namespace rowhouse::attack
