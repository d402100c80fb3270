#include "verify/report_html.h"

#include <fmt/format.h>

#include <map>
#include <vector>

namespace rowhouse::verify {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --good: #1a7f37; --bad: #b42318; --warn: #9a6700; --line: #8884; --soft: #8881; }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; --warn: #e3b341; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.verdict { font-size: 1.3rem; font-weight: 700; } .proven, .held, .refused { color: var(--good); }
.broken { color: var(--bad); } .incomplete, .unproven, .failed { color: var(--warn); }
details { margin: .4rem 0; } summary { cursor: pointer; padding: .2rem 0; }
code { font-size: .88rem; overflow-wrap: anywhere; } .soft { opacity: .75; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } details > * { display: block; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string text(const json::Value& object, std::string_view member) {
  const json::Value* value = object.find(member);
  if (value == nullptr || value->is_null()) return "";
  if (const std::string* string = value->as_string()) return escaped(*string);
  return escaped(json::serialize(*value));
}

const json::Array& list(const json::Value& object, std::string_view member) {
  static const json::Array kNone;
  const json::Value* value = object.find(member);
  return value != nullptr && value->as_array() != nullptr ? *value->as_array() : kNone;
}

std::string joined(const json::Array& array) {
  std::string out;
  for (const json::Value& value : array) {
    if (const std::string* string = value.as_string()) out += (out.empty() ? "" : ", ") + escaped(*string);
  }
  return out;
}

std::string verdict_words(const std::string& result) {
  if (result == "proven") return "Proven: no attack reached another tenant, and every surface was attacked.";
  if (result == "broken") return "Broken: an attack reached another tenant, or a line of defence is missing.";
  return "Incomplete: no attack reached another tenant, but something could not be attacked.";
}

void append_summary(std::string& out, const json::Value& report) {
  const std::string result = text(report, "result");
  out += fmt::format("<h1>Verification of tenant isolation</h1><p class=\"verdict {}\">{}</p>", result,
                     verdict_words(result));
  out += "<table>";
  const auto row = [&](std::string_view name, const std::string& value) {
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>", name, value);
  };
  row("Installation", text(report, "installation"));
  row("Rowhouse", text(report, "version"));
  row("Time", text(report, "started_at") + " to " + text(report, "finished_at"));
  row("Packs", joined(list(report, "packs")));
  row("Tiers", joined(list(report, "tiers")));
  row("Surfaces", std::to_string(list(report, "surfaces").size()));
  row("Without an attack", std::to_string(list(report, "uncovered").size()));
  row("Attempts", text(report, "attempts"));
  row("Findings", std::to_string(list(report, "findings").size()));
  row("Seed", text(report, "seed"));
  row("Report", text(report, "id"));
  out +=
      "</table><p>Two throw-away tenants were made for each product and tier. Rows that bear a secret mark "
      "of their owner were planted in every "
      "table for both. Then everything that PostgreSQL's catalogs and the API's own description list was "
      "attacked in the name of one tenant, to "
      "reach the rows of the other. An attack counts as held only if its owner could reach the same row in "
      "the same way.</p>";
}

std::string place(const json::Value& surface) {
  return fmt::format("{} <code>{}</code> <span class=\"soft\">{}, {}, {}</span>", text(surface, "kind"),
                     text(surface, "name"), text(surface, "pack"), text(surface, "tier"),
                     text(surface, "database"));
}

void append_findings(std::string& out, const json::Value& report) {
  if (!list(report, "failures").empty()) {
    out += "<h2>What could not run</h2><ul>";
    for (const json::Value& failure : list(report, "failures")) {
      out += "<li>" + escaped(failure.as_string() == nullptr ? "" : *failure.as_string()) + "</li>";
    }
    out += "</ul>";
  }
  if (!list(report, "findings").empty()) {
    out +=
        "<h2>Findings</h2><table><tr><th>Where</th><th>Attack</th><th>Result</th><th>What was seen</th></tr>";
    for (const json::Value& finding : list(report, "findings")) {
      out += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td></tr>", place(finding),
                         text(finding, "attack"), text(finding, "result"), text(finding, "result"),
                         text(finding, "message"));
    }
    out += "</table>";
  }
  if (!list(report, "uncovered").empty()) {
    out += "<h2>Without an attack</h2><ul>";
    for (const json::Value& surface : list(report, "uncovered")) out += "<li>" + place(surface) + "</li>";
    out += "</ul>";
  }
}

void append_techniques(std::string& out, const json::Value& report) {
  out +=
      "<h2>How it was attacked</h2><table><tr><th>Attack</th><th>What is tried</th><th>How we know that it "
      "would have worked</th></tr>";
  for (const json::Value& technique : list(report, "techniques")) {
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", text(technique, "name"),
                       text(technique, "how"), text(technique, "control"));
  }
  out += "</table><h2>Limits of this proof</h2><ul>";
  for (const json::Value& limit : list(report, "limits"))
    out += "<li>" + escaped(limit.as_string() == nullptr ? "" : *limit.as_string()) + "</li>";
  out += "</ul>";
}

void append_surfaces(std::string& out, const json::Value& report) {
  out +=
      "<h2>Every surface</h2><p>held: the attacker got nothing, its owner did. refused: PostgreSQL or the "
      "API refuses this to everybody.</p>";
  std::map<std::string, std::vector<const json::Value*>> groups;
  for (const json::Value& surface : list(report, "surfaces")) {
    groups[text(surface, "pack") + ", " + text(surface, "tier") + ": " + text(surface, "kind")].push_back(
        &surface);
  }
  for (const auto& [name, surfaces] : groups) {
    out += fmt::format("<details><summary>{} ({})</summary><table>", name, surfaces.size());
    for (const json::Value* surface : surfaces) {
      out += "<tr><td><code>" + text(*surface, "name") + "</code></td><td>";
      for (const json::Value& attack : list(*surface, "attacks")) {
        out += fmt::format("{}: <span class=\"{}\">{}</span> ({}); ", text(attack, "name"),
                           text(attack, "result"), text(attack, "result"), text(attack, "attempts"));
      }
      out += "</td></tr>";
    }
    out += "</table></details>";
  }
}

}  // namespace

std::string report_html(const json::Value& report) {
  std::string out =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">"
      "<title>Verification of tenant isolation</title><style>" +
      std::string(kStyle) + "</style></head><body>";
  append_summary(out, report);
  append_findings(out, report);
  append_techniques(out, report);
  append_surfaces(out, report);
  if (const json::Value* signature = report.find("signature")) {
    out += fmt::format(
        "<h2>Signature</h2><p>The JSON form of this report is signed with {} by the key <code>{}</code>: "
        "<code>{}</code>. This page is made "
        "from it and is not signed itself; <code>rowhouse verify --check</code> checks the JSON form.</p>",
        text(*signature, "algorithm"), text(*signature, "public_key"), text(*signature, "value"));
  }
  return out + "</body></html>\n";
}

}  // namespace rowhouse::verify
