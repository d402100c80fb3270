#include "mail/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "base/text.h"

namespace rowhouse::mail {
namespace {

constexpr std::size_t kMaxLine = 76;          // RFC 2045, section 6.7
constexpr std::size_t kMaxEncodedBytes = 42;  // of text in one encoded word: 56 characters of base64
constexpr std::size_t kMaxAddress = 254;
constexpr std::size_t kMaxNameBytes = 200;

// Alphabet and padding of RFC 2045; base64url has neither.
std::string base64(std::string_view bytes) {
  std::string text = to_base64url(bytes);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  while (text.size() % 4 != 0) text += '=';
  return text;
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }) &&
         text.find("=?") == std::string_view::npos;
}

std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; },
      ' ');
  return line;
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// "Sat, 21 Nov 2026 05:40:00 +0000", in English whatever the locale.
std::string rfc5322_date(WallTime time) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} +0000",
                     kDays.at(static_cast<std::size_t>(utc.tm_wday)), utc.tm_mday,
                     kMonths.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900, utc.tm_hour,
                     utc.tm_min, utc.tm_sec);
}

std::string written_mailbox(const Mailbox& mailbox) {
  if (mailbox.name.empty()) return mailbox.address;
  const std::string name = one_line(mailbox.name);
  if (!is_plain(name)) return encoded_header(name) + "\r\n <" + mailbox.address + ">";
  std::string quoted;
  for (const char c : name) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return "\"" + quoted + "\" <" + mailbox.address + ">";
}

std::string part(std::string_view type, std::string_view text) {
  return fmt::format(
      "Content-Type: {}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\r\n", type,
      quoted_printable(text));
}

}  // namespace

std::optional<Mailbox> parse_mailbox(std::string_view text) {
  text = trim(text);
  Mailbox mailbox;
  const auto open = text.rfind('<');
  if (text.ends_with('>') && open != std::string_view::npos) {
    std::string_view name = trim(text.substr(0, open));
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    mailbox.name = name;
    text = text.substr(open + 1, text.size() - open - 2);
  }
  mailbox.address = text;
  const auto at = text.find('@');
  const bool shaped = at != std::string_view::npos && at > 0 && at + 1 < text.size() &&
                      text.find('@', at + 1) == std::string_view::npos && text.size() <= kMaxAddress;
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && std::string_view("\"(),:;<>[]\\").find(c) == std::string_view::npos;
  });
  const bool named = mailbox.name.size() <= kMaxNameBytes && is_valid_utf8(mailbox.name) &&
                     one_line(mailbox.name) == mailbox.name;
  if (!shaped || !plain || !named) return std::nullopt;
  return mailbox;
}

std::string encoded_header(std::string_view given) {
  std::string text = one_line(given);
  if (is_plain(text)) return text;
  std::string words;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = std::min(begin + kMaxEncodedBytes, text.size());
    while (end < text.size() && end > begin + 1 && continues_character(text[end])) --end;
    words +=
        (words.empty() ? "=?utf-8?B?" : "\r\n =?utf-8?B?") + base64(text.substr(begin, end - begin)) + "?=";
    begin = end;
  }
  return words;
}

std::string quoted_printable(std::string_view text) {
  std::string encoded;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r') continue;
    if (c == '\n') {
      encoded += "\r\n";
      column = 0;
      continue;
    }
    const bool ends_line = i + 1 == text.size() || text[i + 1] == '\n' || text[i + 1] == '\r';
    const bool is_space = c == ' ' || c == '\t';
    const bool as_is = (c > ' ' && c <= '~' && c != '=') || (is_space && !ends_line);
    const std::string token =
        as_is ? std::string(1, c) : fmt::format("={:02X}", static_cast<unsigned char>(c));
    // Room for the sign of a line that goes on.
    if (column + token.size() > kMaxLine - 1) {
      encoded += "=\r\n";
      column = 0;
    }
    encoded += token;
    column += token.size();
  }
  return encoded;
}

std::string compose(const Message& message) {
  const std::string boundary = "=_" + message.id;  // no quoted-printable text has "=_" in it
  std::string text;
  text += "From: " + written_mailbox(message.from) + "\r\n";
  text += "To: " + message.to + "\r\n";
  text += "Subject: " + encoded_header(message.subject) + "\r\n";
  text += "Date: " + rfc5322_date(message.date) + "\r\n";
  text += "Message-ID: <" + message.id + "@" + message.domain + ">\r\n";
  text += "Auto-Submitted: auto-generated\r\n";  // RFC 3834: nobody's absence notice is wanted
  text += "MIME-Version: 1.0\r\n";
  text += "Content-Type: multipart/alternative;\r\n boundary=\"" + boundary + "\"\r\n\r\n";
  text += "--" + boundary + "\r\n" + part("text/plain", message.text);
  text += "--" + boundary + "\r\n" + part("text/html", message.html);
  text += "--" + boundary + "--\r\n";
  return text;
}

}  // namespace rowhouse::mail
