// Says what an answer means, and keeps the score.
//
// A finding is: another tenant's marker anywhere in the answer; X-Tenant-ID of another; a status that the
// technique does not expect; an answer that differs from the one a ghost gets; an error of the server. A
// difference is looked at twice, alone, before it counts: two attempts of one attacker may meet in the
// database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "attack/answers.h"
#include "attack/attempt.h"
#include "attack/job.h"

namespace rowhouse::attack {

enum class Faults { none, expected };

struct Finding {
  std::uint64_t number = 0;
  std::string what, technique, attacker, victim, request, answer, control;
};

class Judge {
 public:
  static constexpr std::size_t kMaxFindings = 20;

  Judge(const Job& job, Faults faults) : job_(job), faults_(faults), alone_(job.port) {}

  void judge(const Attempt& attempt, const Answer& answer);
  void lost(const Attempt&) { ++lost_; }
  void unanswered(const Attempt& attempt);

  bool enough() const { return findings_.size() >= kMaxFindings; }
  bool clean() const { return findings_.empty(); }
  // One JSON object; `seconds` for the rate.
  std::string report(std::uint64_t seed, double seconds) const;

 private:
  const std::string& control_of(const Attempt& attempt);
  std::string ask_control(const Attempt& attempt);
  // A marker of somebody else than the attacker, or "".
  std::string foreign_marker(const Attempt& attempt, std::string_view text) const;
  void find(const Attempt& attempt, std::string what, const Answer& answer, std::string control);

  const Job& job_;
  const Faults faults_;
  Caller alone_;
  std::unordered_map<std::string, std::string> controls_;  // by control_name
  std::vector<Finding> findings_;
  std::map<int, std::uint64_t> statuses_;
  std::map<std::string, std::uint64_t> techniques_, routes_, unstable_;
  std::uint64_t answered_ = 0, compared_ = 0, unavailable_ = 0, lost_ = 0;
};

}  // namespace rowhouse::attack
