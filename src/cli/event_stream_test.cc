#include "cli/event_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace rowhouse::cli {
namespace {

std::vector<std::string> events(EventStreamReader& reader, std::string_view text) {
  std::vector<std::string> seen;
  EXPECT_TRUE(reader.feed(text, [&](const ServerEvent& event) {
    seen.push_back(event.name + "|" + event.id + "|" + event.data);
    return true;
  }));
  return seen;
}

using Seen = std::vector<std::string>;

constexpr std::string_view kStream =
    "id: 1\ndata: {\"a\": 1}\n\n: still here\n\nretry: 100\nid: 2\ndata:one\ndata: two\n\nevent: end\ndata: "
    "{}\n\n";
const Seen kEvents = {"|1|{\"a\": 1}", "|2|one\ntwo", "end|2|{}"};

TEST(EventStream, IsReadWhereverItIsCut) {
  for (const std::string_view newline : {"\n", "\r", "\r\n"}) {
    std::string text;
    for (const char c : kStream) text += c == '\n' ? std::string(newline) : std::string(1, c);
    for (std::size_t size = 1; size <= text.size(); ++size) {
      EventStreamReader reader;
      Seen seen;
      for (std::size_t at = 0; at < text.size(); at += size) {
        for (auto& event : events(reader, std::string_view(text).substr(at, size)))
          seen.push_back(std::move(event));
      }
      ASSERT_EQ(seen, kEvents) << size;
    }
  }
}

TEST(EventStream, AnUnfinishedEventIsNone) {
  EventStreamReader reader;
  EXPECT_EQ(events(reader, "id: 1\ndata: half\n"), Seen());
  EXPECT_EQ(events(reader, "event: nothing to say\n"), Seen());
  EXPECT_EQ(events(reader, "\n"), Seen{"nothing to say|1|half"});
  EXPECT_EQ(events(reader, "event: without data\n\n"), Seen());
}

TEST(EventStream, StopsWhenItIsTold) {
  EventStreamReader reader;
  int count = 0;
  EXPECT_FALSE(reader.feed("data: 1\n\ndata: 2\n\n", [&](const ServerEvent&) { return ++count == 0; }));
  EXPECT_EQ(count, 1);
}

TEST(EventStream, IsBounded) {
  EventStreamReader reader;
  const std::string line = "data: " + std::string(1U << 20, 'x') + "\n";
  const auto never = [](const ServerEvent&) { return true; };
  int fed = 0;
  while (reader.feed(line, never)) ASSERT_LT(++fed, 20);
  EXPECT_GE(fed, 7);
}

}  // namespace
}  // namespace rowhouse::cli
