// Mail that people get: queued in the statement that is the reason for it, then sent, at least once.
//
// The message is encrypted in the database, since there is a link in it, and removed when it was sent. One
// worker of each node sends; a message that a node took and did not finish is taken by another when its time
// is over. A server that is away or busy is asked again after 10 s, 20 s, … up to an hour; after a day, or at
// once when the server says "never", the message has failed: event mail.failed. Belongs to the executor's
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "mail/message.h"
#include "mail/templates.h"
#include "net/blocking_work.h"
#include "net/executor.h"
#include "net/smtp_client.h"
#include "observe/log.h"
#include "pg/pool.h"
#include "tenancy/tenants.h"

namespace rowhouse::identity {

struct MailOptions {
  net::SmtpServer server;  // url "" = this installation sends no mail
  mail::Mailbox from;
};

struct Letter {
  Letter(mail::Content what, std::string recipient, std::optional<Uuid> about)
      : content(std::move(what)), to(std::move(recipient)), tenant(about) {}
  mail::Content content;
  std::string to;
  std::optional<Uuid> tenant;  // whose it is; it goes with the tenant
};

struct MailInfo {
  Uuid id;
  std::optional<Uuid> tenant;
  std::string kind, recipient, status;  // "queued", "sent", "failed"
  int attempts = 0;
  std::string queued_at, next_attempt_at, ended_at;  // RFC 3339; "" = never
  std::string last_error;
};

class MailQueue {
 public:
  // `seal_key`: kSealKeyBytes. All must outlive this.
  MailQueue(net::Executor& executor, pg::Pool& identity, net::BlockingWork& background,
            const observe::Log& log, const Clock& clock, std::string seal_key, MailOptions options);
  ~MailQueue();  // stop() first if it was started

  bool sends() const;  // is there a server?
  // Told whenever a statement is made that queues a mail: whoever sends may hurry().
  void wire(std::function<void()> queued);

  // "INSERT INTO identity.mail … SELECT … FROM source": for each row of `source`, which has one at most.
  // Appends its parameters. Only if sends().
  std::string insert_sql(pg::Params& params, const Letter& letter, std::string_view source) const;

  // Newest first, at most kMaxListed. `status`: "" = any.
  static constexpr std::size_t kMaxListed = 200;
  Task<Result<std::vector<MailInfo>>> list(std::string status, CallOptions options);
  // Once more, now, with a day of time. Errors: not_found; conflict (it was sent).
  Task<Result<void>> retry(Uuid mail, tenancy::Actor actor, CallOptions options);
  // Sends a test now, past the queue, and says how it went. Error: conflict (there is no server).
  Task<Result<net::SmtpOutcome>> test(std::string address, mail::Locale locale, CallOptions options);

  // Sends what is due, and forgets what is old, until stop().
  void start();
  // Looks in a moment, when the statement will be through; without it within a second.
  void hurry();
  Task<void> stop();
  // What is due now; returns how many were tried. For tests, and the loop.
  Task<Result<std::size_t>> send_due(CallOptions options);

 private:
  struct Taken;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How long to wait after so many attempts: 10 s, doubled, an hour at most.
std::chrono::seconds mail_pause(int attempts);

}  // namespace rowhouse::identity
