// One mail as it travels: headers, a text and an HTML part, encoded so that every server takes it. Pure; any
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace rowhouse::mail {

struct Mailbox {
  std::string name;     // "" = none
  std::string address;  // checked by parse_mailbox() or identity::clean_email()
};

// "ops@acme.example" or "Acme <ops@acme.example>". nullopt: neither, or there are control characters.
std::optional<Mailbox> parse_mailbox(std::string_view text);

struct Message {
  Mailbox from;
  std::string to;  // a bare address
  std::string subject;
  std::string text, html;  // UTF-8, lines ended by '\n'
  std::string id;          // of this message for ever, however often it is sent: left part of the Message-ID
  std::string domain;      // right part of it
  WallTime date;
};

// The whole message, lines ended by CRLF and none longer than 78 characters but for long addresses. Control
// characters in headers become spaces.
std::string compose(const Message& message);

// Parts of compose(), for tests: RFC 2047 encoded words (as they are if plain ASCII), RFC 2045
// quoted-printable.
std::string encoded_header(std::string_view text);
std::string quoted_printable(std::string_view text);

}  // namespace rowhouse::mail
