#include "platform/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>

#include "base/text.h"
#include "cli/suggest.h"

namespace rowhouse::platform {
namespace {

constexpr std::size_t kMaxValueBytes = 16'384;
constexpr std::size_t kMaxFileLines = 10'000;

struct Given {
  std::string value;
  Source source;
};

Error invalid(std::string message) { return Error(ErrorCode::config_invalid, std::move(message)); }

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const OptionSpec& spec : option_registry()) names.push_back(spec.name);
  return names;
}

// "name = value" lines; '#' begins a comment at the start of a line or after a space. Quotes have no meaning.
Result<std::map<std::string, Given>> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return invalid(fmt::format("cannot read the configuration file {}: {}", path, std::strerror(errno)));
  std::map<std::string, Given> given;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (number > kMaxFileLines) return invalid(fmt::format("{} has more than {} lines", path, kMaxFileLines));
    const std::string where = fmt::format("{}:{}", path, number);
    const std::size_t comment = line.starts_with('#') ? 0 : line.find(" #");
    const std::string_view text = trim(std::string_view(line).substr(0, comment));
    if (text.empty()) continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return invalid(fmt::format("{}: write `name = value`", where));
    const std::string name(trim(text.substr(0, equals)));
    if (find_option(name) == nullptr) {
      return invalid(
          fmt::format("{}: there is no option {}{}", where, name, cli::did_you_mean(name, known_names())));
    }
    const auto [entry, added] =
        given.emplace(name, Given{std::string(trim(text.substr(equals + 1))), {SourceKind::file, where}});
    if (!added) {
      return invalid(fmt::format("{}: {} was already set in {}", where, name, entry->second.source.where));
    }
  }
  return given;
}

std::optional<Given> find_given(const OptionSpec& spec, const Flags& flags, const Environment& environment,
                                const std::map<std::string, Given>& file) {
  if (spec.secrecy != Secrecy::secret) {
    for (const auto& [name, value] : flags) {
      if (name == spec.flag()) return Given{value, {SourceKind::flag, "--" + spec.flag()}};
    }
  }
  // An empty variable counts as not set: that is how service managers and shells "unset" one.
  if (auto value = environment(spec.environment()); value.has_value() && !value->empty()) {
    return Given{*value, {SourceKind::environment, spec.environment()}};
  }
  const auto entry = file.find(spec.name);
  if (entry == file.end()) return std::nullopt;
  return entry->second;
}

Result<void> apply(const OptionSpec& spec, const Given& given, Config& config) {
  const bool clean = given.value.size() <= kMaxValueBytes && is_valid_utf8(given.value) &&
                     given.value.find('\0') == std::string::npos;
  if (clean && spec.set(config, given.value)) return {};
  const std::string shown = spec.secrecy != Secrecy::open || !clean ? "(not shown)" : given.value;
  std::string message = fmt::format("{} = {} (from {}) is not valid: it must be {}", spec.name, shown,
                                    given.source.where, spec.bounds.empty() ? "plain text" : spec.bounds);
  if (spec.kind == Kind::choice) message += cli::did_you_mean(given.value, spec.choices);
  return invalid(std::move(message));
}

}  // namespace

std::string OptionSpec::flag() const {
  std::string result = name;
  std::replace(result.begin(), result.end(), '_', '-');
  return result;
}

std::string OptionSpec::environment() const {
  std::string result = "ROWHOUSE_";
  for (const char c : name) result += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

const OptionSpec* find_option(std::string_view name) {
  for (const OptionSpec& spec : option_registry()) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

const ResolvedOption& Resolved::option(std::string_view name) const {
  const auto found = std::find_if(options.begin(), options.end(),
                                  [&](const ResolvedOption& option) { return option.spec->name == name; });
  if (found == options.end()) std::abort();  // a name that the registry does not have is a bug
  return *found;
}

Result<Resolved> resolve(const Flags& flags, const Environment& environment) {
  std::string path = environment("ROWHOUSE_CONFIG").value_or("");
  for (const auto& [name, value] : flags) {
    if (name == "config") path = value;
  }
  std::map<std::string, Given> file;
  if (!path.empty()) {
    TRY(file, read_file(path));
  }
  Resolved resolved;
  for (const OptionSpec& spec : option_registry()) {
    Source source{SourceKind::defaults, "default"};
    if (const auto given = find_given(spec, flags, environment, file)) {
      TRY_DO(apply(spec, *given, resolved.config));
      source = given->source;
    }
    resolved.options.push_back({&spec, spec.get(resolved.config), source});
  }
  return resolved;
}

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

std::string shown_value(const OptionSpec& spec, const std::string& value) {
  switch (spec.secrecy) {
    case Secrecy::open:
      return value;
    case Secrecy::secret:
      return value.empty() ? "" : "(set)";
    case Secrecy::password_in_url:
      break;
  }
  const std::size_t at = value.rfind('@');
  const std::size_t scheme = value.find("://");
  if (at == std::string::npos || scheme == std::string::npos) return value.empty() ? "" : "(set)";
  const std::size_t colon = value.find(':', scheme + 3);
  if (colon == std::string::npos || colon > at) return value;
  return value.substr(0, colon + 1) + "***" + value.substr(at);
}

}  // namespace rowhouse::platform
