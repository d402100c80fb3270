#include "platform/database_url.h"

#include <fmt/format.h>

#include "base/text.h"

namespace rowhouse::platform {
namespace {

Error invalid(std::string_view what) {
  return Error(ErrorCode::config_invalid,
               fmt::format("database_url is not valid: {}. It looks like "
                           "postgresql://USER:PASSWORD@HOST:5432/postgres?sslmode=require",
                           what));
}

// percent_decode() reads '+' as a space, which is right for queries alone.
std::optional<std::string> decode(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += c == '+' ? std::string("%2B") : std::string(1, c);
  return percent_decode(escaped);
}

Result<void> read_host(std::string_view text, pg::ConnectionParameters& parameters) {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  std::string_view host = text;
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const auto port = parse_int64(text.substr(colon + 1));
    if (!port.has_value() || *port < 1 || *port > 65'535) return invalid("the port is not one");
    parameters.port = static_cast<std::uint16_t>(*port);
    host = text.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto decoded = decode(host);
  if (!decoded.has_value() || decoded->empty()) return invalid("the host is missing");
  parameters.host = *decoded;
  return {};
}

Result<void> read_query(std::string_view text, pg::ConnectionParameters& parameters) {
  for (const std::string_view pair : split(text, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    if (name != "sslmode" || equals == std::string_view::npos) {
      return invalid(fmt::format("there is no parameter {}; sslmode is the only one", name));
    }
    parameters.sslmode = pair.substr(equals + 1);
  }
  return {};
}

}  // namespace

Result<pg::ConnectionParameters> parse_database_url(const std::string& url) {
  std::string_view rest = url;
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  if (rest.size() == url.size()) return invalid("it must begin with postgresql://");
  pg::ConnectionParameters parameters;
  parameters.database = "postgres";
  if (const std::size_t question = rest.find('?'); question != std::string_view::npos) {
    TRY_DO(read_query(rest.substr(question + 1), parameters));
    rest = rest.substr(0, question);
  }
  const std::size_t at = rest.rfind('@');
  if (at == std::string_view::npos) return invalid("user and password are missing");
  const std::string_view user = rest.substr(0, at);
  std::string_view host = rest.substr(at + 1);
  if (const std::size_t slash = host.find('/'); slash != std::string_view::npos) {
    const auto database = decode(host.substr(slash + 1));
    if (!database.has_value()) return invalid("the database has a bad escape");
    if (!database->empty()) parameters.database = *database;
    host = host.substr(0, slash);
  }
  TRY_DO(read_host(host, parameters));
  const std::size_t colon = user.find(':');
  const auto name = decode(user.substr(0, colon));
  const auto password = colon == std::string_view::npos ? std::string() : decode(user.substr(colon + 1));
  if (!name.has_value() || name->empty()) return invalid("the user is missing");
  if (!password.has_value()) return invalid("the password has a bad escape");
  parameters.user = *name;
  parameters.password = *password;
  return parameters;
}

}  // namespace rowhouse::platform
