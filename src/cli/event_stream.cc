#include "cli/event_stream.h"

#include <utility>

namespace rowhouse::cli {

bool EventStreamReader::feed(std::string_view piece, const std::function<bool(const ServerEvent&)>& take) {
  while (!piece.empty()) {
    if (std::exchange(after_return_, false) && piece.front() == '\n') {
      piece.remove_prefix(1);
      continue;
    }
    const std::size_t end = piece.find_first_of("\r\n");
    line_ += piece.substr(0, end);
    if (line_.size() + event_.data.size() > kMaxEventBytes) return false;
    if (end == std::string_view::npos) return true;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    if (!take_line(line, take)) return false;
  }
  return true;
}

bool EventStreamReader::take_line(std::string_view line,
                                  const std::function<bool(const ServerEvent&)>& take) {
  if (line.empty()) {
    const bool complete = std::exchange(has_data_, false);
    const bool more = !complete || take(event_);
    event_.name.clear();
    event_.data.clear();
    return more;
  }
  const std::size_t colon = line.find(':');  // at the front: a comment, whose name is empty
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (name == "event") {
    event_.name = value;
  } else if (name == "id") {
    event_.id = value;
  }
  return true;
}

}  // namespace rowhouse::cli
