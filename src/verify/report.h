// What a verification found: surfaces, how each was attacked, what held.
//
// Plain values. The JSON form is docs/verify.md's; its canonical form (what the signature is over) is: UTF-8,
// no spaces, members in the order of their names' bytes at every level, strings escaped as in RFC 8785 (JSON
// Canonicalization Scheme), integers without exponent; there are no other numbers in a report. The member
// "signature" is left out.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace rowhouse::verify {

// held: the attack got nothing, and the same way worked for the owner. refused: PostgreSQL or the API said
// no, to the owner as well. broken: it got something. unproven: it got nothing, but the owner did not,
// either. failed: the attack could not run.
enum class Verdict { held, refused, broken, unproven, failed };
std::string_view verdict_name(Verdict verdict);

struct Attack {
  std::string name;
  std::int64_t attempts = 0;
  Verdict verdict = Verdict::held;
  std::string note;  // for broken, unproven and failed: what was seen, without rows
};

struct SurfaceId {
  std::string kind, name, pack, tier, database;
  bool operator==(const SurfaceId&) const = default;
  bool operator<(const SurfaceId& other) const {
    return std::tie(kind, name, pack, tier, database) <
           std::tie(other.kind, other.name, other.pack, other.tier, other.database);
  }
};

struct Surface {
  SurfaceId id;
  std::vector<Attack> attacks;
};

struct Technique {
  std::string name, how, control;
};

enum class Outcome { proven, broken, incomplete };
std::string_view outcome_name(Outcome outcome);

class Report {
 public:
  std::string id, started_at, finished_at, installation, version;
  std::int64_t seed = 0;
  std::vector<std::string> failures;  // of the run itself: what could not be set up or cleared away
  std::vector<std::string> packs, tiers;

  // A surface that is there, attacked or not.
  void found(SurfaceId where);
  // An attack on a surface. The same attack on the same surface again adds up; the worst verdict stays.
  void attacked(const SurfaceId& where, std::string_view attack, std::int64_t attempts, Verdict verdict,
                std::string note = {});
  void limit(std::string text) { limits_.insert(std::move(text)); }

  Outcome outcome() const;
  const std::map<SurfaceId, Surface>& surfaces() const { return surfaces_; }
  std::vector<SurfaceId> uncovered() const;
  std::int64_t attempts() const;
  std::int64_t findings() const;

  // Without the signature.
  json::Value document() const;

 private:
  std::map<SurfaceId, Surface> surfaces_;
  std::set<std::string> limits_;
};

// Every technique that is known, for `document`.
const std::vector<Technique>& techniques();

// What the signature is over; `document` may have a signature, which is left out.
std::string canonical_text(const json::Value& document);

inline constexpr std::string_view kSignatureAlgorithm = "Ed25519";
// Adds {"algorithm", "public_key" (base64url), "value" (base64url)}. `seed`: 32 bytes, the private key.
void sign(json::Value& document, std::string_view seed);
// Error: validation_failed, saying what is wrong. `public_key` (32 bytes), if not empty, must be the
// report's.
Result<void> check_signature(const json::Value& document, std::string_view public_key);

}  // namespace rowhouse::verify
