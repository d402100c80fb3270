// Writes numbers in the text format of Prometheus (exposition format 0.0.4). Pure; no registry, nothing is
// kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rowhouse::observe {

class MetricsWriter {
 public:
  enum class Kind { counter, gauge };
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // Begins a family: "# HELP", "# TYPE". Names are [a-z_]+; help is one line. Samples follow until the next
  // family.
  void family(std::string_view name, Kind kind, std::string_view help);
  void sample(std::int64_t value, const Labels& labels = {});

  const std::string& text() const { return text_; }

 private:
  std::string name_, text_;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace rowhouse::observe
