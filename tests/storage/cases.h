// The guarantees of storage/object_store.h, one case each.
#pragma once

#include "bench.h"

namespace rowhouse::storage::conformance {

struct Case {
  const char* name;
  Task<Result<void>> (*run)(Bench& bench);
};

std::vector<Case> object_cases();  // put, get, stat, conditions, failures
std::vector<Case> key_cases();     // keys, lists, removing, copies
std::vector<Case> upload_cases();  // parts
std::vector<Case> access_cases();  // links, credentials, memory

// Uploads that are interrupted by the test around it; see README.md. Returns the exit status.
int run_crash(Bench& bench, const std::vector<std::string>& arguments);

}  // namespace rowhouse::storage::conformance
