#include "cli/lint_report.h"

#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/table.h"
#include "tenancy/lint.h"

namespace rowhouse::cli {
namespace {

const json::Array& findings_of(const json::Value& report) {
  static const json::Array kNone;
  const json::Value* findings = report.find("findings");
  return findings != nullptr && findings->as_array() != nullptr ? *findings->as_array() : kNone;
}

std::int64_t number_of(const json::Value& report, std::string_view member) {
  const json::Value* value = report.find(member);
  return value == nullptr ? 0 : value->as_int64().value_or(0);
}

std::string counted(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s");
}

std::string place_of(const json::Value& finding) {
  const std::string database = text_of(finding, "database"), schema = text_of(finding, "schema");
  if (database.empty()) return "server";
  return schema.empty() ? database : database + " · " + schema;
}

std::string summary_line(const json::Value& report) {
  const std::int64_t errors = number_of(report, "errors"), warnings = number_of(report, "warnings");
  const std::string read =
      fmt::format("{} and {} read in {} ms", counted(number_of(report, "databases"), "database"),
                  counted(number_of(report, "schemas"), "schema"), grouped(number_of(report, "duration_ms")));
  if (errors + warnings == 0) return "No findings: " + read + ".";
  return fmt::format("{}, {}; {}.", counted(errors, "error"), counted(warnings, "warning"), read);
}

// "tenant-id-missing" → "Tenant id missing"
std::string title_of(std::string_view rule) {
  std::string title(rule);
  for (char& c : title) {
    if (c == '-') c = ' ';
  }
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z')
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

json::Value message_of(std::string text) {
  json::Value message;
  message.set("text", std::move(text));
  return message;
}

json::Value sarif_rules() {
  json::Array rules;
  for (const tenancy::RuleInfo& rule : tenancy::lint_rules()) {
    json::Value level, entry;
    level.set("level", tenancy::severity_name(rule.severity));
    entry.set("id", rule.name);
    entry.set("shortDescription", message_of(title_of(rule.name)));
    entry.set("defaultConfiguration", std::move(level));
    entry.set("help", message_of(fmt::format("docs/isolation-rules.md explains the rule {}.", rule.name)));
    rules.push_back(std::move(entry));
  }
  return rules;
}

json::Value sarif_result(const json::Value& finding) {
  const std::string fix = text_of(finding, "fix");
  std::string path;
  for (const std::string_view part : {"database", "schema", "object"}) {
    const std::string name = text_of(finding, part);
    if (!name.empty()) path += (path.empty() ? "" : "/") + name;
  }
  json::Value logical, location, properties, result;
  logical.set("name", text_of(finding, "object"));
  logical.set("fullyQualifiedName", path);
  logical.set("kind", "resource");
  json::Array logicals, locations;
  logicals.push_back(std::move(logical));
  location.set("logicalLocations", std::move(logicals));
  locations.push_back(std::move(location));
  for (const std::string_view part : {"database", "schema", "object", "fix"})
    properties.set(std::string(part), text_of(finding, part));
  result.set("ruleId", text_of(finding, "rule"));
  result.set("level", text_of(finding, "severity"));
  result.set("message", message_of(text_of(finding, "message") + ". Fix: " + fix));
  result.set("locations", std::move(locations));
  result.set("properties", std::move(properties));
  return result;
}

}  // namespace

std::string lint_text(const Terminal& terminal, const json::Value& report) {
  std::string text, place;
  for (const json::Value& finding : findings_of(report)) {
    const std::string here = place_of(finding);
    if (here != place) {
      text += (place.empty() ? "" : "\n") + styled(terminal, Style::bold, printable(here)) + "\n";
      place = here;
    }
    const bool is_error = text_of(finding, "severity") == "error";
    text +=
        fmt::format("  {}  {}  {}\n",
                    styled(terminal, is_error ? Style::red : Style::yellow, is_error ? "error  " : "warning"),
                    printable(text_of(finding, "rule")),
                    styled(terminal, Style::bold, printable(text_of(finding, "object"))));
    text += "           " + printable(text_of(finding, "message")) + "\n";
    text += "           " + styled(terminal, Style::dim, "Fix: ") + printable(text_of(finding, "fix")) + "\n";
  }
  if (!text.empty()) text += "\n";
  const json::Value* truncated = report.find("truncated");
  if (truncated != nullptr && truncated->as_bool() != nullptr && *truncated->as_bool())
    text += "There are more findings than can be shown.\n";
  return text + summary_line(report) + "\n";
}

json::Value lint_sarif(const json::Value& report, std::string_view version) {
  json::Array results;
  for (const json::Value& finding : findings_of(report)) results.push_back(sarif_result(finding));
  json::Value driver, tool, run, document;
  driver.set("name", "rowhouse lint");
  driver.set("semanticVersion", version);
  driver.set("rules", sarif_rules());
  tool.set("driver", std::move(driver));
  run.set("tool", std::move(tool));
  run.set("results", std::move(results));
  document.set("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  document.set("version", "2.1.0");
  json::Array runs;
  runs.push_back(std::move(run));
  document.set("runs", std::move(runs));
  return document;
}

}  // namespace rowhouse::cli
