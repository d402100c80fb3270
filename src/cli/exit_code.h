// How the process ends; documented in `rowhouse help exit-codes` and the README.
#pragma once

namespace rowhouse::cli {

enum class ExitCode : int {
  ok = 0,
  failed = 1,       // the server refused, or the operation failed
  findings = 1,     // what was checked is not as it should be
  usage = 2,        // the command line or the configuration is wrong
  not_found = 3,    // there is no such tenant, key, pack, row or function
  credential = 4,   // no credential, or one that may not do this
  unreachable = 5,  // no server answers at the URL
  interrupted = 130,
};

}  // namespace rowhouse::cli
