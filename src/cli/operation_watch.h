// Follows an operation until it has ended: by the server's event stream, and by asking again and again where
// that breaks.
//
// A server that is being restarted does not end the watching: the operation is durable, and so is the
// interest in it.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

struct WatchEnd {
  enum class Why { ended, paused, interrupted } why = Why::ended;
  json::Value operation;  // as it was seen last; null if it never was
};

enum class OnPause { stay, stop };

// Shows every step on `terminal.err`. Ctrl-C ends the watching, not the operation. Errors: not_found and
// other refusals of the server; server_unreachable when it stays away.
Result<WatchEnd> watch_operation(const ApiClient& client, const Terminal& terminal, const std::string& id,
                                 OnPause on_pause);

// GET of what an ended operation has made: asked again while the server does not answer, as the watching
// does.
Result<ApiReply> get_patiently(const ApiClient& client, const Terminal& terminal, const std::string& path);

// "/v1/operations/ID"
std::string operation_path(const std::string& id);
// What to tell somebody who leaves: how to come back.
std::string how_to_watch(const std::string& id);
// Of an ended operation that did not succeed.
Error operation_failure(const json::Value& operation);

}  // namespace rowhouse::cli
