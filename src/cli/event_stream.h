// Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) out of pieces of
// any size.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace rowhouse::cli {

struct ServerEvent {
  std::string name;  // "" = "message"
  std::string id;    // of this event or the last one that had one
  std::string data;  // lines joined by newlines
};

class EventStreamReader {
 public:
  // An event larger than this ends the reading.
  static constexpr std::size_t kMaxEventBytes = 8U << 20;

  // Calls `take` for every event that this piece completes, until that returns false. False: `take` did, or
  // an event was too large; feed nothing more.
  bool feed(std::string_view piece, const std::function<bool(const ServerEvent&)>& take);

 private:
  bool take_line(std::string_view line, const std::function<bool(const ServerEvent&)>& take);

  std::string line_;  // unfinished
  ServerEvent event_;
  bool has_data_ = false;
  bool after_return_ = false;  // a newline now belongs to the carriage return before it
};

}  // namespace rowhouse::cli
