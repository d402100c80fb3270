#include "observe/metrics.h"

namespace rowhouse::observe {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes_too) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes_too) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

}  // namespace

void MetricsWriter::family(std::string_view name, Kind kind, std::string_view help) {
  name_ = name;
  text_ += "# HELP " + name_ + " ";
  append_escaped(text_, help, false);
  text_ += "\n# TYPE " + name_ + (kind == Kind::counter ? " counter\n" : " gauge\n");
}

void MetricsWriter::sample(std::int64_t value, const Labels& labels) {
  text_ += name_;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    text_ += i == 0 ? "{" : ",";
    text_ += labels[i].first;
    text_ += "=\"";
    append_escaped(text_, labels[i].second, true);
    text_ += "\"";
  }
  if (!labels.empty()) text_ += "}";
  text_ += " " + std::to_string(value) + "\n";
}

}  // namespace rowhouse::observe
