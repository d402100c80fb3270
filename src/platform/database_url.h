// --database-url: postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require → parameters of a connection.
#pragma once

#include <string>

#include "base/result.h"
#include "pg/types.h"

namespace rowhouse::platform {

// Error: config_invalid; the message never holds the password. Host, user and password must be there; the
// database defaults to postgres, the port to 5432. A host that begins with %2F is the folder of a socket.
Result<pg::ConnectionParameters> parse_database_url(const std::string& url);

}  // namespace rowhouse::platform
