// Randomised attempts of tenants to reach each other's rows, over HTTP/1.1 with keep-alive and pipelining.
//
//   random_attack JOB --seed N [--from I] [--count K] [--connections C] [--depth D] [--faults]
//
// Attempt I of seed N is always the same one; --from I --count 1 repeats it. Requests of different attackers
// share connections. With --faults the server may answer 503 and lose connections, and some are reset from
// here. Prints a report in JSON. Status: 0 nothing found, 1 something found, 2 the attack could not be
// carried out.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "attack/answers.h"
#include "attack/attempt.h"
#include "attack/job.h"
#include "attack/judge.h"

namespace rowhouse::attack {
namespace {

struct Options {
  std::string job;
  std::uint64_t seed = 1, from = 0, count = 1'000'000, connections = 24, depth = 4;
  Faults faults = Faults::none;
};

constexpr int kStallLimitMs = 60'000;
constexpr int kDropsBeforeFinding = 5;
constexpr int kConnectTries = 2'000;

// One connection with the attempts that wait for their answers on it.
class Line {
 public:
  Line(const Job& job, const Options& options, Judge& judge, std::uint64_t first)
      : job_(job), options_(options), judge_(judge), next_(first) {
    open();
  }
  ~Line() { ::close(fd_); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  int fd() const { return fd_; }
  bool done() const { return waiting_.empty() && next_ >= options_.from + options_.count; }
  short events() const { return static_cast<short>(POLLIN | (sent_ < out_.size() ? POLLOUT : 0)); }

  void fill() {
    while (waiting_.size() < options_.depth && next_ < options_.from + options_.count) {
      waiting_.push_back(make_attempt(job_, options_.seed, next_));
      next_ += options_.connections;
      out_ += waiting_.back().request;
    }
  }

  void write() {
    while (sent_ < out_.size()) {
      const ssize_t some = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
      if (some < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) broken_ = true;
        return;
      }
      sent_ += static_cast<std::size_t>(some);
    }
    out_.clear();
    sent_ = 0;
    if (options_.faults == Faults::expected && !waiting_.empty() && waiting_.back().reset) reset();
  }

  void read() {
    char piece[1 << 16];
    while (true) {
      const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (got <= 0) {
        broken_ = true;
        break;
      }
      in_.append(piece, static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < sizeof piece) break;
    }
    while (!waiting_.empty()) {
      bool nonsense = false;
      const auto answer = take_answer(in_, nonsense);
      if (nonsense) fail("the server sent what is no HTTP: " + in_.substr(0, 200));
      if (!answer) break;
      const Attempt attempt = std::move(waiting_.front());
      waiting_.pop_front();
      drops_ = 0;
      judge_.judge(attempt, *answer);
      if (answer->closes) {
        reopen();
        return;
      }
    }
    if (broken_) dropped();
  }

  bool broken() const { return broken_; }
  void dropped() {
    if (options_.faults == Faults::none && !waiting_.empty() && ++drops_ >= kDropsBeforeFinding) {
      judge_.unanswered(waiting_.front());
      waiting_.pop_front();
      drops_ = 0;
    }
    reopen();
  }

 private:
  void open() {
    for (int tries = 0; tries < kConnectTries; ++tries) {
      fd_ = connect_to(job_.port);
      if (fd_ >= 0) {
        ::fcntl(fd_, F_SETFL, O_NONBLOCK);
        return;
      }
      ::poll(nullptr, 0, 10);
    }
    fail("cannot connect to the server");
  }

  // What waits is sent again.
  void reopen() {
    ::close(fd_);
    open();
    broken_ = false;
    in_.clear();
    out_.clear();
    sent_ = 0;
    for (const auto& attempt : waiting_) out_ += attempt.request;
  }

  // Ends the connection with a reset; what waits on it is lost.
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    for (const auto& attempt : waiting_) judge_.lost(attempt);
    waiting_.clear();
    reopen();
  }

  const Job& job_;
  const Options& options_;
  Judge& judge_;
  std::uint64_t next_;
  int fd_ = -1, drops_ = 0;
  bool broken_ = false;
  std::deque<Attempt> waiting_;
  std::string out_, in_;
  std::size_t sent_ = 0;
};

void attack(const Job& job, const Options& options, Judge& judge) {
  std::vector<std::unique_ptr<Line>> lines;
  for (std::uint64_t i = 0; i < options.connections && i < options.count; ++i) {
    lines.push_back(std::make_unique<Line>(job, options, judge, options.from + i));
  }
  std::vector<pollfd> polled;
  while (!lines.empty() && !judge.enough()) {
    polled.clear();
    for (auto& line : lines) {
      line->fill();
      line->write();
      polled.push_back({line->fd(), line->events(), 0});
    }
    const int ready = ::poll(polled.data(), polled.size(), kStallLimitMs);
    if (ready < 0 && errno != EINTR) fail(std::strerror(errno));
    if (ready == 0) fail("the server has not answered for a minute");
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        lines[i]->read();
      } else if (lines[i]->broken()) {
        lines[i]->dropped();
      }
    }
    std::erase_if(lines, [](const auto& line) { return line->done(); });
  }
}

std::uint64_t number(const char* text) {
  std::uint64_t value = 0;
  const char* end = text + std::strlen(text);
  if (end == text || std::from_chars(text, end, value).ptr != end) fail(std::string(text) + " is no number");
  return value;
}

Options read_options(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--faults") {
      options.faults = Faults::expected;
    } else if (!word.starts_with("--")) {
      options.job = word;
    } else if (i + 1 == count) {
      fail(word + " needs a value");
    } else {
      const std::uint64_t value = number(words[++i]);
      if (word == "--seed") {
        options.seed = value;
      } else if (word == "--from") {
        options.from = value;
      } else if (word == "--count") {
        options.count = value;
      } else if (word == "--connections") {
        options.connections = value;
      } else if (word == "--depth") {
        options.depth = value;
      } else {
        fail("there is no option " + word);
      }
    }
  }
  if (options.job.empty() || options.connections == 0 || options.depth == 0) {
    fail("usage: random_attack JOB --seed N [--from I] [--count K] [--connections C] [--depth D] [--faults]");
  }
  return options;
}

int run(int count, char** words) {
  const Options options = read_options(count, words);
  const Job job = load_job(options.job);
  Judge judge(job, options.faults);
  const auto start = std::chrono::steady_clock::now();
  attack(job, options, judge);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  std::printf("%s\n", judge.report(options.seed, taken.count()).c_str());
  return judge.clean() ? 0 : 1;
}

}  // namespace
}  // namespace rowhouse::attack

int main(int count, char** words) { return rowhouse::attack::run(count, words); }
