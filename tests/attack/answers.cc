#include "attack/answers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace rowhouse::attack {

namespace {

constexpr int kAloneTimeoutS = 60;

std::string lower(std::string_view text) {
  std::string made(text);
  std::transform(made.begin(), made.end(), made.begin(), [](unsigned char c) { return std::tolower(c); });
  return made;
}

std::optional<std::size_t> number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// Where the answer ends, with its body in `body`; npos if it is not whole.
std::size_t read_chunks(std::string_view bytes, std::size_t at, std::string& body, bool& broken) {
  while (true) {
    const auto line = bytes.find("\r\n", at);
    if (line == std::string_view::npos) return std::string_view::npos;
    const auto size = number(bytes.substr(at, line - at), 16);
    if (!size) {
      broken = true;
      return std::string_view::npos;
    }
    at = line + 2;
    if (bytes.size() < at + *size + 2) return std::string_view::npos;
    body.append(bytes.substr(at, *size));
    at += *size + 2;
    if (*size == 0) return at;
  }
}

}  // namespace

std::string_view Answer::header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (known == name) return value;
  }
  return {};
}

std::optional<Answer> take_answer(std::string& bytes, bool& broken) {
  const auto head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string::npos) return std::nullopt;
  const std::string_view head = std::string_view(bytes).substr(0, head_end + 2);
  Answer answer;
  const auto status = head.starts_with("HTTP/1.1 ") ? number(head.substr(9, 3), 10) : std::nullopt;
  if (!status) {
    broken = true;
    return std::nullopt;
  }
  answer.status = static_cast<int>(*status);
  for (auto at = head.find("\r\n") + 2; at < head.size();) {
    const auto end = head.find("\r\n", at);
    const auto line = head.substr(at, end - at);
    at = end + 2;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      broken = true;
      return std::nullopt;
    }
    auto value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    answer.headers.emplace_back(lower(line.substr(0, colon)), value);
  }
  answer.closes = answer.header("connection") == "close";
  std::size_t end = head_end + 4;
  if (answer.header("transfer-encoding") == "chunked") {
    end = read_chunks(bytes, end, answer.body, broken);
    if (end == std::string::npos) return std::nullopt;
  } else if (answer.status != 204 && answer.status != 304) {
    const auto length = number(answer.header("content-length"), 10);
    if (!length) {
      broken = true;
      return std::nullopt;
    }
    if (bytes.size() < end + *length) return std::nullopt;
    answer.body = bytes.substr(end, *length);
    end += *length;
  }
  bytes.erase(0, end);
  return answer;
}

int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

Caller::~Caller() { close(); }

void Caller::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  bytes_.clear();
}

std::optional<Answer> Caller::ask(std::string_view request) {
  auto answer = try_once(request);
  if (!answer) answer = try_once(request);
  return answer;
}

std::optional<Answer> Caller::try_once(std::string_view request) {
  if (fd_ < 0) {
    fd_ = connect_to(port_);
    if (fd_ < 0) return std::nullopt;
    const timeval limit{kAloneTimeoutS, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    close();
    return std::nullopt;
  }
  std::array<char, 1 << 16> piece;
  while (true) {
    const ssize_t got = ::recv(fd_, piece.data(), piece.size(), 0);
    if (got > 0) bytes_.append(piece.data(), static_cast<std::size_t>(got));
    bool broken = false;
    auto answer = take_answer(bytes_, broken);
    if (got <= 0 || broken || (answer && answer->closes)) close();
    if (answer || got <= 0 || broken) return answer;
  }
}

}  // namespace rowhouse::attack
