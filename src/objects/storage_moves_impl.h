// Inside StorageMoves; for its own .cc files alone.
#pragma once

#include <string>

#include "objects/storage_moves.h"

namespace rowhouse::objects {

// The configurations of a tenant, as far as a move is concerned.
struct StorageMoves::Stores {
  struct One {
    int number = 0;  // 0 = there is none
    std::string provider;
    bool is_provisioned = false;
    bool is_there() const { return number != 0; }
  };
  One active;
  One former;               // a lower number: objects are, or were, moved away from it
  One target;               // a higher one: a move has begun, and has not come to its switch
  std::string operation;    // the last one about a move; "" = none
  bool is_running = false;  // it has not ended
};

// Members of the state and of the input of operations.
inline constexpr const char* kFrom = "from";
inline constexpr const char* kTo = "to";
inline constexpr const char* kProvider = "provider";
inline constexpr const char* kProvisioned = "provisioned";
inline constexpr const char* kOldObjects = "old_objects";
inline constexpr const char* kAddress = "address";
inline constexpr const char* kKeep = "keep";

// Of the state; internal when it is not there.
Result<ObjectMover::Way> way_of(operations::Run& run);
bool is_provisioned(const json::Value& input);

}  // namespace rowhouse::objects
