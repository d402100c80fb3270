#include "mail/message.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace rowhouse::mail {
namespace {

Message sample() {
  Message message;
  message.from.name = "Rowhouse";
  message.from.address = "no-reply@platform.example";
  message.to = "ada@acme.example";
  message.subject = "Welcome";
  message.text = "Hello.\n";
  message.html = "<p>Hello.</p>\n";
  message.id = "018f2b7e-3c1d-7a10-9e6b-0c5d2f4a8b11";
  message.domain = "platform.example";
  message.date = WallTime(std::chrono::seconds(1'795'239'600));
  return message;
}

std::string head_of(const std::string& mail) { return mail.substr(0, mail.find("\r\n\r\n")); }

TEST(MailMessage, HasTheHeadersThatReadersExpect) {
  const std::string mail = compose(sample());
  EXPECT_TRUE(mail.starts_with("From: \"Rowhouse\" <no-reply@platform.example>\r\nTo: ada@acme.example\r\n"));
  EXPECT_NE(mail.find("\r\nDate: Sat, 21 Nov 2026 05:40:00 +0000\r\n"), std::string::npos) << head_of(mail);
  EXPECT_NE(mail.find("\r\nMessage-ID: <018f2b7e-3c1d-7a10-9e6b-0c5d2f4a8b11@platform.example>\r\n"),
            std::string::npos);
  EXPECT_NE(mail.find("Content-Type: multipart/alternative;"), std::string::npos);
  for (std::size_t at = mail.find('\n'); at != std::string::npos; at = mail.find('\n', at + 1)) {
    ASSERT_EQ(mail[at - 1], '\r') << "a bare line feed at " << at;
  }
}

TEST(MailMessage, NothingCanAddAHeader) {
  Message message = sample();
  message.subject = "Hi\r\nBcc: thief@evil.example\r\n\r\nbody";
  message.from.name = "Ops\r\nBcc: thief@evil.example";
  const std::string head = head_of(compose(message));
  EXPECT_EQ(head.find("\r\nBcc"), std::string::npos);
  EXPECT_NE(head.find("Subject: Hi  Bcc: thief@evil.example"), std::string::npos) << head;
  message.from.name = "Quote \" and \\ and >";
  EXPECT_TRUE(
      compose(message).starts_with("From: \"Quote \\\" and \\\\ and >\" <no-reply@platform.example>\r\n"));
}

TEST(MailMessage, HeadersOfOtherAlphabetsAreEncodedInShortWords) {
  EXPECT_EQ(encoded_header("Plain, and \"quoted\""), "Plain, and \"quoted\"");
  EXPECT_EQ(encoded_header("Grüße"), "=?utf-8?B?R3LDvMOfZQ==?=");
  EXPECT_EQ(encoded_header("=?utf-8?B?eA==?="), "=?utf-8?B?PT91dGYtOD9CP2VBPT0/PQ==?=");
  std::string longer;
  for (int i = 0; i < 60; ++i) longer += "ü";
  const std::string encoded = encoded_header(longer);
  for (const std::string_view line : split(encoded, '\n')) EXPECT_LE(line.size(), 76U);
  EXPECT_NE(encoded.find("?=\r\n =?utf-8?B?"), std::string::npos);
}

TEST(MailMessage, QuotedPrintableKeepsLinesShortAndSpacesAtTheirEnds) {
  EXPECT_EQ(quoted_printable("a=b\n"), "a=3Db\r\n");
  EXPECT_EQ(quoted_printable("end \nnext"), "end=20\r\nnext");
  EXPECT_EQ(quoted_printable("ü"), "=C3=BC");
  EXPECT_EQ(quoted_printable("a\r\nb"), "a\r\nb");
  const std::string encoded = quoted_printable(std::string(200, 'x'));
  for (const std::string_view line : split(encoded, '\n')) EXPECT_LE(line.size(), 77U);  // with its '\r'
  EXPECT_NE(encoded.find("=\r\n"), std::string::npos);
}

TEST(MailMessage, Mailboxes) {
  const auto plain = parse_mailbox("ops@acme.example");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->address, "ops@acme.example");
  EXPECT_EQ(plain->name, "");
  const auto named = parse_mailbox(" \"Acme, Inc.\" <ops@acme.example> ");
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->name, "Acme, Inc.");
  EXPECT_EQ(named->address, "ops@acme.example");
  for (const char* bad :
       {"", "x", "@acme.example", "ops@", "a b@acme.example", "ops@acme.example\r\nBcc: x@y.z",
        "A <ops@acme.example", "a@b@c", "Bad\nName <ops@acme.example>", "<ops@acme.example> x"}) {
    EXPECT_FALSE(parse_mailbox(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace rowhouse::mail
