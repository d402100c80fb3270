#include "observe/metrics.h"

#include <gtest/gtest.h>

namespace rowhouse::observe {
namespace {

TEST(MetricsWriterTest, WritesFamiliesAndSamples) {
  MetricsWriter writer;
  writer.family("rowhouse_requests_total", MetricsWriter::Kind::counter, "Requests");
  writer.sample(3, {{"class", "2xx"}});
  writer.sample(0, {{"class", "5xx"}, {"node", "a"}});
  writer.family("rowhouse_age_seconds", MetricsWriter::Kind::gauge, "Age\nof it");
  writer.sample(-1);
  EXPECT_EQ(writer.text(),
            "# HELP rowhouse_requests_total Requests\n# TYPE rowhouse_requests_total counter\n"
            "rowhouse_requests_total{class=\"2xx\"} 3\nrowhouse_requests_total{class=\"5xx\",node=\"a\"} 0\n"
            "# HELP rowhouse_age_seconds Age\\nof it\n# TYPE rowhouse_age_seconds "
            "gauge\nrowhouse_age_seconds -1\n");
}

TEST(MetricsWriterTest, EscapesLabels) {
  MetricsWriter writer;
  writer.family("x", MetricsWriter::Kind::gauge, "back\\slash");
  writer.sample(1, {{"l", "a\"b\\c\nd"}});
  EXPECT_EQ(writer.text(), "# HELP x back\\\\slash\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\"} 1\n");
}

}  // namespace
}  // namespace rowhouse::observe
