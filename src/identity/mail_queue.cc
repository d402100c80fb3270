#include "identity/mail_queue.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 1'000ms;
constexpr auto kSoon = 30ms;
constexpr int kTicksPerPrune = 3'600;
constexpr auto kTickDeadline = 120s;
constexpr auto kNoteDeadline = 10s;
constexpr std::size_t kMaxTaken = 8;  // at the same time, of one node
// Longer than a transfer may take: then whoever took it is dead.
constexpr std::chrono::seconds kTakenFor = 120s;
constexpr std::chrono::seconds kFirstPause = 10s;
constexpr std::chrono::seconds kLongestPause = 3'600s;
constexpr std::chrono::hours kGiveUpAfter = 24h;
constexpr std::size_t kMaxErrorBytes = 300;

constexpr std::string_view kTakeSql = R"(
UPDATE identity.mail m SET attempts = m.attempts + 1, next_attempt_at = $2::timestamptz
FROM (SELECT id FROM identity.mail WHERE status = 'queued' AND next_attempt_at <= $1::timestamptz
  ORDER BY next_attempt_at LIMIT $3::bigint FOR UPDATE SKIP LOCKED) due
WHERE m.id = due.id
RETURNING m.id, m.kind, m.tenant_id, m.recipient, pg_catalog.encode(m.sealed, 'hex'), m.attempts,
  m.queued_at <= $4::timestamptz)";

// Guarded by the attempt: whoever took it later knows better.
constexpr std::string_view kSentSql =
    "UPDATE identity.mail SET status = 'sent', sealed = NULL, ended_at = $3::timestamptz, last_error = '' "
    "WHERE id = $1::uuid AND status = 'queued' AND attempts = $2::integer";
constexpr std::string_view kAgainSql =
    "UPDATE identity.mail SET next_attempt_at = $3::timestamptz, last_error = $4::text "
    "WHERE id = $1::uuid AND status = 'queued' AND attempts = $2::integer";
constexpr std::string_view kFailedSql =
    "t AS (UPDATE identity.mail SET status = 'failed', ended_at = $3::timestamptz, last_error = $4::text "
    "WHERE id = $1::uuid AND status = 'queued' AND attempts = $2::integer RETURNING id)";

constexpr std::string_view kPruneSql = R"(
WITH mail AS (DELETE FROM identity.mail WHERE status <> 'queued' AND ended_at < $1::timestamptz - interval '14 days'),
  links AS (DELETE FROM identity.links WHERE expires_at < $1::timestamptz - interval '14 days')
DELETE FROM identity.invitations WHERE expires_at < $1::timestamptz - interval '90 days')";

std::string context_of(const std::string& id) { return "mail " + id; }

std::string domain_of(std::string_view address) { return std::string(address.substr(address.find('@') + 1)); }

}  // namespace

struct MailQueue::Taken {
  Uuid id;
  std::string kind, recipient, sealed;
  std::optional<Uuid> tenant;
  int attempts = 0;
  enum class Patience { left, over } patience = Patience::left;
};

struct MailQueue::Impl {
  Impl(net::Executor& loop, pg::Pool& pool, net::BlockingWork& work, const observe::Log& node_log,
       const Clock& wall_clock, std::string key, MailOptions mail_options)
      : executor(loop),
        identity(pool),
        background(work),
        log(node_log),
        clock(wall_clock),
        seal_key(std::move(key)),
        options(std::move(mail_options)) {}

  std::string composed(const Uuid& id, const Letter& letter) const;
  Task<Result<net::SmtpOutcome>> hand_over(net::SmtpMessage message, CallOptions call);
  Task<Result<void>> deliver(Taken taken, CallOptions call);
  Task<void> deliver_and_log(Taken taken, CallOptions call);
  Task<Result<void>> note(const Taken& taken, const net::SmtpOutcome& outcome, CallOptions call);
  Task<Result<void>> give_up(const Taken& taken, std::string reason, CallOptions call);
  Task<Result<std::vector<Taken>>> take(CallOptions call);
  Task<Result<std::size_t>> send_due(CallOptions call);
  Task<Result<void>> prune(CallOptions call);
  void tick_after(std::chrono::milliseconds delay);
  Task<void> tick();

  net::Executor& executor;
  pg::Pool& identity;
  net::BlockingWork& background;
  const observe::Log& log;
  const Clock& clock;
  const std::string seal_key;
  const MailOptions options;
  enum class State { idle, running, stopped } state = State::idle;
  std::atomic<bool> stopping{false};  // read by transfers, on other threads
  int ticks = 0;
  enum class Haste { none, asked_for } haste = Haste::none;
  std::function<void()> queued;
  std::unique_ptr<net::Timer> timer;
  CancelSource cancel;
  net::TaskGroup tasks;
};

MailQueue::MailQueue(net::Executor& executor, pg::Pool& identity, net::BlockingWork& background,
                     const observe::Log& log, const Clock& clock, std::string seal_key, MailOptions options)
    : impl_(std::make_unique<Impl>(executor, identity, background, log, clock, std::move(seal_key),
                                   std::move(options))) {}
MailQueue::~MailQueue() = default;

std::chrono::seconds mail_pause(int attempts) {
  constexpr int kMostDoublings = 10;
  return std::min(kFirstPause * (1 << std::clamp(attempts - 1, 0, kMostDoublings)), kLongestPause);
}

bool MailQueue::sends() const { return !impl_->options.server.url.empty(); }

// ------------------------------------------------------------------------------------------------- queue

std::string MailQueue::Impl::composed(const Uuid& id, const Letter& letter) const {
  const mail::Written written = mail::write(letter.content);
  mail::Message message;
  message.from = options.from;
  message.to = letter.to;
  message.subject = written.subject;
  message.text = written.text;
  message.html = written.html;
  message.id = id.to_string();
  message.domain = domain_of(options.from.address);
  message.date = clock.now();
  return mail::compose(message);
}

std::string MailQueue::insert_sql(pg::Params& params, const Letter& letter, std::string_view source) const {
  const Impl& impl = *impl_;
  const WallTime now = impl.clock.now();
  const Uuid id = Uuid::make_v7(now);
  const auto parameter = [&params](pg::Param value) {
    params.push_back(std::move(value));
    return "$" + std::to_string(params.size());
  };
  const std::string sealed =
      crypto::seal(impl.seal_key, context_of(id.to_string()), impl.composed(id, letter));
  const std::string id_text = parameter(id.to_string());
  const std::string tenant = parameter(letter.tenant ? pg::Param(letter.tenant->to_string()) : std::nullopt);
  const std::string kind = parameter(std::string(mail::kind_name(letter.content.kind)));
  const std::string recipient = parameter(letter.to);
  const std::string text = parameter(to_hex(sealed));
  const std::string at = parameter(to_rfc3339(now));
  if (impl.queued) impl.queued();
  return "INSERT INTO identity.mail (id, tenant_id, kind, recipient, sealed, queued_at, next_attempt_at) "
         "SELECT " +
         id_text + "::uuid, " + tenant + "::uuid, " + kind + "::text, " + recipient +
         "::text, pg_catalog.decode(" + text + "::text, 'hex'), " + at + "::timestamptz, " + at +
         "::timestamptz FROM " + std::string(source);
}

Task<Result<std::vector<MailInfo>>> MailQueue::list(std::string status, CallOptions options) {
  pg::Params params;
  params.push_back(status.empty() ? std::nullopt : pg::Param(std::move(status)));
  params.emplace_back(std::to_string(kMaxListed));
  const pg::Statement statement(
      "SELECT id, tenant_id, kind, recipient, status, attempts, " + timestamp_sql("queued_at") +
          ", CASE WHEN status = 'queued' THEN " + timestamp_sql("next_attempt_at") + " END, " +
          timestamp_sql("ended_at") +
          ", last_error FROM identity.mail WHERE $1::text IS NULL OR status = $1::text "
          "ORDER BY queued_at DESC, id DESC LIMIT $2::bigint",
      std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  std::vector<MailInfo> all;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    MailInfo info;
    info.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    info.tenant = Uuid::parse(rows.text(row, 1));
    info.kind = rows.text(row, 2);
    info.recipient = rows.text(row, 3);
    info.status = rows.text(row, 4);
    info.attempts = static_cast<int>(parse_int64(rows.text(row, 5)).value_or(0));
    info.queued_at = rows.text(row, 6);
    info.next_attempt_at = rows.text(row, 7);
    info.ended_at = rows.text(row, 8);
    info.last_error = rows.text(row, 9);
    all.push_back(std::move(info));
  }
  co_return all;
}

Task<Result<void>> MailQueue::retry(Uuid mail, tenancy::Actor actor, CallOptions options) {
  pg::Params params;
  params.emplace_back(mail.to_string());
  params.emplace_back(to_rfc3339(impl_->clock.now()));
  const auto change = change_of("mail.retried", actor, "mail", mail);
  const pg::Statement statement = recorded_statement(
      "found AS (SELECT id, status FROM identity.mail WHERE id = $1::uuid), "
      "t AS (UPDATE identity.mail m SET status = 'queued', attempts = 0, queued_at = $2::timestamptz, "
      "next_attempt_at = $2::timestamptz, ended_at = NULL FROM found WHERE m.id = found.id AND m.status <> "
      "'sent' "
      "RETURNING m.id)",
      "SELECT status, EXISTS (SELECT FROM t) FROM found", std::move(params), change);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no such mail");
  if (rows.text(0, 1) != "t") co_return Error(ErrorCode::conflict, "the mail was sent, and its text is gone");
  if (impl_->queued) impl_->queued();
  co_return Result<void>();
}

Task<Result<net::SmtpOutcome>> MailQueue::test(std::string address, mail::Locale locale,
                                               CallOptions options) {
  if (!sends()) {
    co_return Error(ErrorCode::conflict, "this installation sends no mail: smtp_url is not set");
  }
  const auto to = clean_email(address);
  if (!to) {
    co_return Error(ErrorCode::validation_failed, "the address is not valid")
        .with_field("/to", "must be an e-mail address");
  }
  mail::Content content;
  content.locale = locale;
  content.branding = mail::default_branding();
  const Letter letter(std::move(content), *to, std::nullopt);
  net::SmtpMessage message;
  message.from = impl_->options.from.address;
  message.to = *to;
  message.text = impl_->composed(Uuid::make_v7(impl_->clock.now()), letter);
  co_return co_await impl_->hand_over(std::move(message), options);
}

// -------------------------------------------------------------------------------------------------- send

Task<Result<net::SmtpOutcome>> MailQueue::Impl::hand_over(net::SmtpMessage message, CallOptions call) {
  net::SmtpOutcome outcome;
  const std::function<bool()> gives_up = [this] { return stopping.load() || background.stopping(); };
  // Both outlive the work, which is waited for.
  std::function<void()> work = [this, &message, &outcome, &gives_up] {
    outcome = net::send_mail(options.server, message, gives_up);
  };
  CO_TRY_DO(co_await background.run(executor, std::move(work), call));
  co_return outcome;
}

Task<Result<std::vector<MailQueue::Taken>>> MailQueue::Impl::take(CallOptions call) {
  const WallTime now = clock.now();
  pg::Params params;
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + kTakenFor));
  params.emplace_back(std::to_string(kMaxTaken));
  params.emplace_back(to_rfc3339(now - kGiveUpAfter));
  const pg::Statement statement(std::string(kTakeSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  std::vector<Taken> all;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Taken taken;
    taken.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    taken.kind = rows.text(row, 1);
    taken.tenant = Uuid::parse(rows.text(row, 2));
    taken.recipient = rows.text(row, 3);
    taken.sealed = from_hex(rows.text(row, 4)).value_or("");
    taken.attempts = static_cast<int>(parse_int64(rows.text(row, 5)).value_or(1));
    if (rows.text(row, 6) == "t") taken.patience = Taken::Patience::over;
    all.push_back(std::move(taken));
  }
  co_return all;
}

Task<Result<void>> MailQueue::Impl::deliver(Taken taken, CallOptions call) {
  auto text = crypto::open_sealed(seal_key, context_of(taken.id.to_string()), taken.sealed);
  if (!text) co_return co_await give_up(taken, "the message was sealed with another master key", call);
  net::SmtpMessage message;
  message.from = options.from.address;
  message.to = taken.recipient;
  message.text = std::move(*text);
  auto outcome = co_await hand_over(std::move(message), call);
  if (!outcome.ok() && outcome.error().code != ErrorCode::overloaded) co_return std::move(outcome).error();
  net::SmtpOutcome seen;
  if (outcome.ok()) {
    seen = std::move(outcome).value();
  } else {
    seen.kind = net::SmtpOutcome::Kind::again;
    seen.reason = "the node was busy";
  }
  // Also when this node is stopping: what was sent shall not be sent again.
  const CallOptions noted{deadline_in(kNoteDeadline)};
  co_return co_await note(taken, seen, noted);
}

Task<Result<void>> MailQueue::Impl::note(const Taken& taken, const net::SmtpOutcome& outcome,
                                         CallOptions call) {
  using Kind = net::SmtpOutcome::Kind;
  if (outcome.kind != Kind::sent) {
    // Without the server's words: they may name the recipient.
    log.write(observe::Level::warning, "mail_not_sent",
              {{"mail", taken.id.to_string()},
               {"kind", taken.kind},
               {"attempts", taken.attempts},
               {"reply", outcome.reply},
               {"again", outcome.kind == Kind::again}});
  }
  std::string reason = outcome.reason.substr(0, kMaxErrorBytes);
  const bool is_over = outcome.kind == Kind::again && taken.patience == Taken::Patience::over;
  if (outcome.kind == Kind::refused || is_over) co_return co_await give_up(taken, std::move(reason), call);
  const WallTime now = clock.now();
  pg::Params params;
  params.emplace_back(taken.id.to_string());
  params.emplace_back(std::to_string(taken.attempts));
  std::string sql(kSentSql);
  if (outcome.kind == Kind::sent) {
    params.emplace_back(to_rfc3339(now));
  } else {
    sql = kAgainSql;
    params.emplace_back(to_rfc3339(now + mail_pause(taken.attempts)));
    params.emplace_back(std::move(reason));
  }
  const pg::Statement statement(std::move(sql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

Task<Result<void>> MailQueue::Impl::give_up(const Taken& taken, std::string reason, CallOptions call) {
  pg::Params params;
  params.emplace_back(taken.id.to_string());
  params.emplace_back(std::to_string(taken.attempts));
  params.emplace_back(to_rfc3339(clock.now()));
  params.emplace_back(std::move(reason));
  const tenancy::Actor server("server", "");
  auto change = change_of("mail.failed", server, "mail", taken.id);
  change.tenant = taken.tenant;
  json::Value values;
  values.set("kind", taken.kind);
  values.set("attempts", static_cast<std::int64_t>(taken.attempts));
  change.new_json = json::serialize(values);
  const pg::Statement statement =
      recorded_statement(kFailedSql, "SELECT id FROM t", std::move(params), change);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

Task<void> MailQueue::Impl::deliver_and_log(Taken taken, CallOptions call) {
  const auto delivered = co_await deliver(std::move(taken), call);
  if (delivered.ok() || delivered.error().code == ErrorCode::cancelled) co_return;
  // It is taken again when its time is over.
  log.write_error("mail_not_noted", delivered.error());
}

Task<Result<std::size_t>> MailQueue::Impl::send_due(CallOptions call) {
  CO_TRY(auto taken, co_await take(call));
  const std::size_t count = taken.size();
  net::TaskGroup group;
  for (Taken& each : taken) group.spawn(deliver_and_log(std::move(each), call));
  co_await group.join();
  co_return count;
}

Task<Result<std::size_t>> MailQueue::send_due(CallOptions options) { return impl_->send_due(options); }

// ------------------------------------------------------------------------------------------------- upkeep

Task<Result<void>> MailQueue::Impl::prune(CallOptions call) {
  pg::Params params;
  params.emplace_back(to_rfc3339(clock.now()));
  const pg::Statement statement(std::string(kPruneSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

void MailQueue::Impl::tick_after(std::chrono::milliseconds delay) {
  if (state != State::running) return;
  timer = executor.after(delay, [this] {
    timer.reset();
    tasks.spawn(tick());
  });
}

Task<void> MailQueue::Impl::tick() {
  const CallOptions call{deadline_in(kTickDeadline), &cancel};
  haste = Haste::none;
  if (ticks++ % kTicksPerPrune == 0) {
    const auto pruned = co_await prune(call);
    if (!pruned.ok() && pruned.error().code == ErrorCode::internal) {
      log.write_error("mail_not_pruned", pruned.error());
    }
  }
  bool more = !options.server.url.empty();
  while (more && state == State::running && !background.stopping()) {
    const auto sent = co_await send_due(call);
    if (!sent.ok() && sent.error().code == ErrorCode::internal)
      log.write_error("mail_not_taken", sent.error());
    more = sent.ok() && *sent == kMaxTaken;
  }
  tick_after(haste == Haste::none ? kTick : kSoon);
}

void MailQueue::wire(std::function<void()> queued) { impl_->queued = std::move(queued); }

void MailQueue::hurry() {
  impl_->haste = Impl::Haste::asked_for;
  if (impl_->timer) impl_->tick_after(kSoon);  // otherwise it is looking, and looks once more
}

void MailQueue::start() {
  if (impl_->state != Impl::State::idle) return;
  impl_->state = Impl::State::running;
  impl_->tick_after(kTick);
}

Task<void> MailQueue::stop() {
  impl_->state = Impl::State::stopped;
  impl_->stopping = true;
  impl_->timer.reset();
  impl_->cancel.cancel();
  co_await impl_->tasks.join();
}

}  // namespace rowhouse::identity
