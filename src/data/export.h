// Export of rows as CSV or NDJSON: one snapshot, constant memory, at the client's pace.
//
// A cursor of PostgreSQL reads its whole result as of one moment. It lives in a read-only transaction on a
// connection of its own, which goes with the source. CSV: header row, RFC 4180 quoting; an empty cell is
// NULL, "" the empty string; arrays are JSON. Cells are not changed to protect spreadsheets from formulas.
#pragma once

#include <memory>

#include "data/query.h"
#include "data/write.h"

namespace rowhouse::data {

// Opens the cursor and reads the first rows, so that most errors come before the first byte. Errors: as a
// list.
Task<Result<std::unique_ptr<net::BodySource>>> open_export(session::TenantDatabase& database,
                                                           identity::TenantContext context, Target target,
                                                           Query query, RowFormat format,
                                                           std::size_t batch_rows, CallOptions options);

}  // namespace rowhouse::data
