#include "verify/runner.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "verify/store.h"

namespace rowhouse::verify {
namespace {

constexpr std::chrono::minutes kFirstRunAfter{10};
constexpr std::chrono::seconds kLookEvery{20};
constexpr std::chrono::milliseconds kBeatEvery{500};
constexpr std::chrono::seconds kStatementTimeout{30};

CallOptions soon() { return CallOptions{deadline_in(kStatementTimeout)}; }

// The store, for this thread: a loop and a small pool of its own.
struct OwnStore {
  explicit OwnStore(const EngineSettings& settings)
      : cluster(executor, settings.administrator, settings.credentials),
        pool(executor, options()),
        store(pool) {}
  pg::PoolOptions options() {
    pg::PoolOptions made;
    made.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kPlatformDatabase);
    made.read_connections = made.write_connections = made.exclusive_connections = 1;
    return made;
  }
  template <class T>
  T wait(Task<T> task) {
    return net::run_until_done(executor, std::move(task));
  }
  net::Executor executor;
  tenancy::Cluster cluster;
  pg::Pool pool;
  Store store;
};

}  // namespace

Runner::Runner(EngineSettings settings, std::chrono::milliseconds every, observe::Log& log)
    : settings_(std::move(settings)), every_(every), log_(log) {}

Runner::~Runner() { stop(); }

void Runner::start(std::string url, std::string ca_file, Nodes nodes) {
  nodes_ = nodes;
  settings_.url = std::move(url);
  settings_.ca_file = std::move(ca_file);
  first_due_ = std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(every_, kFirstRunAfter);
  started_ = true;
  thread_ = std::thread([this] { loop(); });
}

void Runner::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Runner::request(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (!started_ || stopping_ || job_) return false;
    job_ = std::move(job);
  }
  wake_.notify_all();
  return true;
}

void Runner::loop() {
  if (nodes_ == Nodes::this_one) clear_away();
  while (true) {
    std::optional<Job> job;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return stopping_ || job_.has_value(); };
      if (every_.count() > 0) {
        wake_.wait_for(lock, std::min<std::chrono::milliseconds>(kLookEvery, every_), ready);
      } else {
        wake_.wait(lock, ready);
      }
      if (stopping_) break;
      job = std::exchange(job_, std::nullopt);
    }
    if (!job) job = scheduled();
    if (job) run(*job);
  }
  // A request that came in the last moment is not left hanging.
  if (job_) {
    OwnStore own(settings_);
    static_cast<void>(own.wait(own.store.fail(job_->id, "the server was stopped", soon())));
  }
}

// Whether it is time: the newest run of any node is too old. Whoever begins first, runs.
std::optional<Runner::Job> Runner::scheduled() {
  if (every_.count() == 0 || std::chrono::steady_clock::now() < first_due_) return std::nullopt;
  OwnStore own(settings_);
  const auto latest = own.wait(own.store.latest(soon()));
  if (!latest.ok()) return std::nullopt;
  if (latest->has_value() &&
      (*latest)->age_seconds < std::chrono::duration_cast<std::chrono::seconds>(every_).count()) {
    return std::nullopt;
  }
  Job job{Uuid::make_v7(settings_.clock.now()), make_slug_prefix(), Request()};
  const auto begun = own.wait(own.store.begin(job.id, job.slug_prefix, job.request, "schedule", soon()));
  // After a failure the next try is not at once.
  first_due_ = std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(every_, kFirstRunAfter);
  if (!begun.ok()) return std::nullopt;
  return job;
}

// What a crash left behind, before anything else. Usually nothing, which costs two statements.
void Runner::clear_away() {
  OwnStore own(settings_);
  const auto ended =
      own.wait(own.store.fail_all_before(made_at_, "the server that ran it went away", soon()));
  if (!ended.ok()) log_.write_error("verifications_not_ended", ended.error());
  const auto uncleared = own.wait(own.store.uncleared(soon()));
  if (!uncleared.ok() || uncleared->empty()) return;
  Engine engine(
      settings_, [](const Progress&) {}, [this] { return stopping_.load(); });
  for (const std::string& prefix : *uncleared) {
    if (stopping_) return;
    const auto faults = engine.sweep({prefix});
    if (faults.empty()) static_cast<void>(own.wait(own.store.mark_cleared(prefix, soon())));
    for (const std::string& fault : faults)
      log_.write(observe::Level::warning, "verification_not_cleared", {{"fault", fault}});
  }
}

void Runner::run(const Job& job) {
  OwnStore own(settings_);
  auto last_beat = std::chrono::steady_clock::time_point();
  const auto tell = [&](const Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_beat < kBeatEvery) return;
    last_beat = now;
    static_cast<void>(own.wait(own.store.beat(job.id, progress, soon())));
  };
  log_.write(observe::Level::info, "verification_started", {{"id", job.id.to_string()}});
  Engine engine(settings_, tell, [this] { return stopping_.load(); });
  std::vector<std::string> faults;
  auto uncleared = own.wait(own.store.uncleared(soon()));
  if (uncleared.ok()) {
    for (const std::string& prefix : *uncleared) {
      const auto left = engine.sweep({prefix});
      if (left.empty()) static_cast<void>(own.wait(own.store.mark_cleared(prefix, soon())));
      faults.insert(faults.end(), left.begin(), left.end());
    }
  }
  auto report = engine.run(job.request, job.id, job.slug_prefix);
  if (!report.ok()) {
    static_cast<void>(own.wait(own.store.fail(job.id, report.error().message, soon())));
    log_.write_error("verification_failed", report.error());
    return;
  }
  report->failures.insert(report->failures.end(), faults.begin(), faults.end());
  json::Value document = report->document();
  std::string seed = signing_seed(settings_.credentials);
  sign(document, seed);
  crypto::wipe(seed);
  if (engine.sweep({job.slug_prefix}).empty())
    static_cast<void>(own.wait(own.store.mark_cleared(job.slug_prefix, soon())));
  const auto uncovered = static_cast<std::int64_t>(report->uncovered().size());
  const auto surfaces = static_cast<std::int64_t>(report->surfaces().size());
  const auto finished =
      own.wait(own.store.finish(job.id, report->outcome(), surfaces, uncovered, report->findings(),
                                report->attempts(), json::serialize(document), soon()));
  if (!finished.ok()) log_.write_error("verification_not_stored", finished.error());
  log_.write(report->outcome() == Outcome::proven ? observe::Level::info : observe::Level::error,
             "verification_finished",
             {{"id", job.id.to_string()},
              {"result", outcome_name(report->outcome())},
              {"surfaces", surfaces},
              {"uncovered", uncovered},
              {"findings", report->findings()}});
}

}  // namespace rowhouse::verify
