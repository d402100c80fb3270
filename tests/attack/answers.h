// HTTP/1.1 as a client of many pipelined requests sees it: answers out of a stream of bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rowhouse::attack {

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;                                          // without chunk sizes
  bool closes = false;                                       // the server closes the connection behind it

  std::string_view header(std::string_view name) const;
};

// Takes the first answer off `bytes`; nullopt if it is not whole yet. `broken` is set when the bytes are no
// HTTP.
std::optional<Answer> take_answer(std::string& bytes, bool& broken);

// A socket connected to 127.0.0.1, or -1. Blocking.
int connect_to(int port);

// Asks one thing at a time, on a connection that is made anew when it is gone.
class Caller {
 public:
  explicit Caller(int port) : port_(port) {}
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // nullopt if there was no whole answer, twice.
  std::optional<Answer> ask(std::string_view request);

 private:
  std::optional<Answer> try_once(std::string_view request);
  void close();

  int port_, fd_ = -1;
  std::string bytes_;
};

}  // namespace rowhouse::attack
