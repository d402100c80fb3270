#include <fmt/format.h>

#include <array>
#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/command.h"

namespace rowhouse::cli {
namespace {

struct Hint {
  std::string_view code, text;
};

// What to do about a problem, by its stable code. A hint that an Error carries comes first.
constexpr std::array kHints = {
    Hint{"credential_missing",
         "Set ROWHOUSE_TENANT_KEY (data commands) or ROWHOUSE_ADMIN_TOKEN (all others)"},
    Hint{"credential_unknown",
         "The key or token is wrong, revoked, expired, or belongs to another installation"},
    Hint{"tenant_suspended", "An operator can resume it: rowhouse tenant resume SLUG"},
    Hint{"tenant_mismatch", "--tenant names another tenant than the one that the key belongs to"},
    Hint{"feature_missing", "A larger plan may include it: rowhouse tenant update SLUG --plan PLAN"},
    Hint{"unknown_resource", "`rowhouse pack show PACK` lists the resources of a pack"},
    Hint{"unknown_column", "`rowhouse pack show PACK` lists the columns of each resource"},
    Hint{"precondition_failed", "Somebody changed it in between: get it again, then repeat the change"},
    Hint{"invalid_cursor", "Start again without --cursor; a cursor belongs to one tenant and one query"},
    Hint{"pack_refused",
         "`rowhouse pack check DIR` shows each broken rule with its fix; docs/packs.md explains them"},
    Hint{"database_unavailable",
         "PostgreSQL is starting again or cannot be reached; try again in a few seconds"},
    Hint{"overloaded", "Try again in a few seconds"},
    Hint{"shutting_down", "Try again when the server is back"},
};

std::string hint_for(const Error& error) {
  if (!error.detail(kHint).empty()) return std::string(error.detail(kHint));
  for (const Hint& hint : kHints) {
    if (hint.code == error.detail(kProblemCode)) return std::string(hint.text);
  }
  const auto retry_after = error.detail(kRetryAfter);
  return retry_after.empty() ? "" : fmt::format("Try again in {} s", retry_after);
}

}  // namespace

void report_error(const Terminal& terminal, const Error& error) {
  const std::string title = printable(error.detail(kProblemTitle));
  const std::string text = printable(error.message);
  terminal.err << styled(terminal, Style::red, "Error: ");
  if (title.empty()) {
    terminal.err << text << '\n';
  } else {
    terminal.err << title << (text.empty() || text == title ? "" : ": " + text) << '\n';
  }
  for (const FieldError& field : error.fields) {
    terminal.err << "  " << printable(field.path) << (field.path.empty() ? "" : ": ")
                 << printable(field.message) << '\n';
  }
  if (!error.detail("usage").empty()) {
    terminal.err << "Usage: " << error.detail("usage") << " (--help says more)\n";
  }
  const std::string hint = hint_for(error);
  if (!hint.empty()) terminal.err << styled(terminal, Style::yellow, "Hint: ") << hint << '\n';
  const auto request_id = error.detail(kRequestId);
  if (!request_id.empty()) {
    terminal.err << styled(terminal, Style::dim, fmt::format("Request {}", printable(request_id))) << '\n';
  }
}

ExitCode exit_code_of(const Error& error) {
  const auto status = parse_int64(error.detail(kProblemStatus));
  if (status.has_value()) {
    if (*status == 404) return ExitCode::not_found;
    if (*status == 401 || error.detail(kProblemCode) == "forbidden") return ExitCode::credential;
    return ExitCode::failed;
  }
  switch (error.code) {
    case ErrorCode::server_unreachable:
      return ExitCode::unreachable;
    case ErrorCode::invalid_parameter:
    case ErrorCode::config_invalid:
      return ExitCode::usage;
    case ErrorCode::credential_missing:
      return ExitCode::credential;
    case ErrorCode::cancelled:
      return ExitCode::interrupted;
    default:
      return ExitCode::failed;
  }
}

}  // namespace rowhouse::cli
