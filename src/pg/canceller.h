// Sends cancel requests to PostgreSQL from a thread of its own: PQcancel opens a connection and blocks.
// Private to src/pg.
#pragma once

struct pg_cancel;

namespace rowhouse::pg {

// Takes ownership. A request that cannot be delivered is dropped: statement_timeout ends the statement
// anyway.
void cancel_in_background(pg_cancel* request);

}  // namespace rowhouse::pg
