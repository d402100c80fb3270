#include "attack/attempt.h"

#include <algorithm>
#include <cctype>

namespace rowhouse::attack {

namespace {

constexpr std::uint64_t kOtherPackOneIn = 4;
constexpr std::uint64_t kDecorationOneIn = 16;
constexpr std::uint64_t kResetOneIn = 400;
constexpr int kRowTries = 64;

// SplitMix64: small, well mixed from any start, and the same on every machine.
class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t number) : state_(seed * 0xD1342543DE82EF95ULL + number) { next(); }

  std::uint64_t next() {
    std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15ULL);
    mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31U);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t bound) { return below(bound) == 0; }

 private:
  std::uint64_t state_;
};

const Technique& pick_technique(const PackTechniques& techniques, Dice& dice) {
  auto left = static_cast<std::int64_t>(dice.below(static_cast<std::uint64_t>(techniques.total_weight)));
  for (const auto& technique : techniques.all) {
    left -= technique.weight;
    if (left < 0) return technique;
  }
  return techniques.all.back();
}

struct Row {
  const Loot* loot = nullptr;
  std::string resource;
  std::size_t place = 0;
};

// A row of the victim's for the technique; none if the victim has none of that kind.
Row pick_row(const Technique& technique, const Tenant& victim, Dice& dice) {
  for (int tries = 0; tries < kRowTries; ++tries) {
    const std::string& resource =
        technique.any_row ? victim.loot[dice.below(victim.loot.size())].resource : technique.resource;
    const auto* rows = victim.rows(resource, technique.rows);
    if (rows != nullptr && !rows->empty()) {
      const auto place = static_cast<std::size_t>(dice.below(rows->size()));
      return {&(*rows)[place], resource, place};
    }
    if (!technique.any_row) break;
  }
  return {};
}

const std::string* find_word(const std::string& name, const Words* row, const Words& victim) {
  if (row != nullptr) {
    const auto found = row->find(name);
    if (found != row->end()) return &found->second;
  }
  const auto found = victim.find(name);
  return found == victim.end() ? nullptr : &found->second;
}

// False if a placeholder has no value: this row has no such column.
bool fill(std::string& out, const std::string& pattern, const Words* row, const Words& victim,
          const std::string& resource) {
  std::size_t at = 0;
  while (true) {
    const auto open = pattern.find("{{", at);
    if (open == std::string::npos) break;
    const auto close = pattern.find("}}", open);
    if (close == std::string::npos) break;
    out.append(pattern, at, open - at);
    const std::string name = pattern.substr(open + 2, close - open - 2);
    at = close + 2;
    if (name == "resource") {
      out += resource;
      continue;
    }
    const std::string* word = find_word(name, row, victim);
    if (word == nullptr) return false;
    out += *word;
  }
  out.append(pattern, at);
  return true;
}

// Nothing that changes the answer: other spellings of the same.
struct Decoration {
  bool own_id = false, other_case = false;
};

bool render(std::string& out, const Technique& technique, const Tenant& attacker,
            const Decoration& decoration, const Words* row, const Words& victim,
            const std::string& resource) {
  std::string body;
  if (!fill(body, technique.body, row, victim, resource)) return false;
  out = technique.method + " ";
  if (!fill(out, technique.path, row, victim, resource)) return false;
  out += " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  out += (decoration.other_case ? "x-TENANT-key: " : "X-Tenant-Key: ") + attacker.key + "\r\n";
  if (decoration.own_id) out += "X-Tenant-ID: " + attacker.id + "\r\n";
  for (const auto& header : technique.headers) {
    if (!fill(out, header, row, victim, resource)) return false;
    out += "\r\n";
  }
  if (technique.method != "GET") out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n" + body;
  return true;
}

bool names_a_tenant(const Technique& technique) {
  return std::any_of(technique.headers.begin(), technique.headers.end(),
                     [](const std::string& header) { return header.starts_with("X-Tenant-ID"); });
}

std::string word_or_empty(const Words* words, const std::string& name) {
  if (words == nullptr) return "";
  const auto found = words->find(name);
  return found == words->end() ? "" : found->second;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// Whether the attempt could be made with these dice; not every victim has what every technique needs.
bool try_to_make(Attempt& made, const Job& job, Dice& dice) {
  made.attacker = &job.tenants[job.attackers[dice.below(job.attackers.size())]];
  const PackTechniques& techniques = job.techniques.find(made.attacker->pack)->second;
  made.technique = &pick_technique(techniques, dice);
  const bool any_pack = made.technique->resource.empty() || made.technique->any_row;
  const bool other_pack = any_pack && dice.one_in(kOtherPackOneIn);
  do {
    made.victim = &job.tenants[job.victims[dice.below(job.victims.size())]];
  } while (!other_pack && made.victim->pack != made.attacker->pack);
  Row row;
  if (!made.technique->rows.empty()) {
    row = pick_row(*made.technique, *made.victim, dice);
    if (row.loot == nullptr) return false;
  }
  Words real, ghost;
  if (row.loot != nullptr) {
    real = row.loot->real;
    ghost = row.loot->ghost;
    if (made.technique->method == "GET" && dice.one_in(kDecorationOneIn) && real.contains("id")) {
      real["id"] = upper(real["id"]);
      ghost["id"] = upper(ghost["id"]);
    }
  }
  Decoration decoration;
  decoration.own_id = dice.one_in(kDecorationOneIn) && !names_a_tenant(*made.technique);
  decoration.other_case = dice.one_in(kDecorationOneIn);
  made.reset = dice.one_in(kResetOneIn);
  made.secret = word_or_empty(&real, "id");
  made.ghost_secret = word_or_empty(&ghost, "id");
  const bool by_row = made.technique->rows == "refers" || made.technique->rows == "cursor";
  made.control_name = std::to_string(made.technique - techniques.all.data()) + " " + made.attacker->pack +
                      " " + made.attacker->tier + " " + made.victim->pack + " " + row.resource +
                      (by_row ? " " + std::to_string(row.place) : "");
  return render(made.request, *made.technique, *made.attacker, decoration, &real, made.victim->self.real,
                row.resource) &&
         render(made.control, *made.technique, *made.attacker, decoration, &ghost, made.victim->self.ghost,
                row.resource);
}

}  // namespace

Attempt make_attempt(const Job& job, std::uint64_t seed, std::uint64_t number) {
  Dice dice(seed, number);
  Attempt made;
  made.number = number;
  for (int tries = 0; tries < 10'000; ++tries) {
    if (try_to_make(made, job, dice)) return made;
  }
  fail("no technique fits: the victims have nothing");
}

}  // namespace rowhouse::attack
