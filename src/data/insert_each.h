// Inserting many rows of which some may be refused, and saying what became of each one.
//
// Runs inside a transaction that goes on afterwards: a statement that fails is undone to a savepoint, and its
// rows are halved until the guilty ones stand alone. Rows that are fine cost one statement for all of them.
#pragma once

#include <span>
#include <vector>

#include "data/write.h"

namespace rowhouse::data {

enum class RowFate { inserted, updated, duplicate, rejected };

struct RowOutcome {
  RowFate fate = RowFate::inserted;
  std::vector<FieldError> errors;  // of a rejected row; paths as "/email"
};

// One outcome for each row, in order. Errors: only those that no row is to blame for.
Task<Result<std::vector<RowOutcome>>> insert_each(session::TenantTransaction& transaction, Target target,
                                                  std::span<const RowInput> rows, OnConflict on_conflict,
                                                  CallOptions options);

// A batch was refused without saying which row: inserts it once more, row by row where needed, in a
// transaction that is rolled back, and returns `refusal` with the faults at their rows ("/3/email").
Task<Error> locate_faults(session::TenantDatabase& database, const identity::TenantContext& context,
                          Target target, const Body& body, OnConflict on_conflict, Error refusal,
                          CallOptions options);

}  // namespace rowhouse::data
