// One attempt: who attacks whom, how, with which bytes. A pure function of the job, the seed and the
// attempt's number, so that any one can be repeated alone.
#pragma once

#include <cstdint>
#include <string>

#include "attack/job.h"

namespace rowhouse::attack {

struct Attempt {
  std::uint64_t number = 0;
  const Tenant* attacker = nullptr;
  const Tenant* victim = nullptr;
  const Technique* technique = nullptr;
  std::string secret;        // the victim's id that the request names, or ""
  std::string ghost_secret;  // what stands in its place in the control
  std::string request;       // with what the victim has
  std::string control;       // with what nobody has
  std::string control_name;  // attempts of one name have the same control
  bool reset = false;        // with faults: the connection is reset after this request
};

Attempt make_attempt(const Job& job, std::uint64_t seed, std::uint64_t number);

}  // namespace rowhouse::attack
