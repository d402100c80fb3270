#include "identity/passwords.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::identity {

namespace {

// Event loops and PostgreSQL come first; see setpriority(2).
constexpr int kNiceness = 10;

// Begins of what everybody tries first, in lower case and without punctuation. The list is
// short on purpose: the limits on attempts make the long ones useless.
constexpr std::array<std::string_view, 34> kCommon = {
    "password",   "passwort", "passw0rd",  "p4ssword", "1234567890", "123456",   "0123456789",
    "0987654321", "qwerty",   "qwertz",    "azerty",   "asdfgh",     "letmein",  "welcome",
    "iloveyou",   "admin",    "superuser", "changeme", "default",    "football", "baseball",
    "sunshine",   "princess", "dragon",    "monkey",   "abc123",     "abcdef",   "trustno1",
    "1q2w3e4r",   "qazwsx",   "zaq12wsx",  "rowhouse", "secret",     "11111111"};
// So many characters beside a common word make a password of their own.
constexpr std::size_t kOwnCharacters = 6;
constexpr std::size_t kMinLocalPart = 4;
constexpr std::size_t kMinDifferent = 5;

std::string skeleton(std::string_view password) {
  std::string text;
  for (const char c : to_lower_ascii(password)) {
    const bool foreign = static_cast<unsigned char>(c) >= 0x80;
    if (foreign || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) text.push_back(c);
  }
  return text;
}

// What is left of a text when each of these words is taken out of it.
template <class Words>
std::string without(std::string text, const Words& words) {
  for (const std::string_view word : words) {
    if (word.empty()) continue;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word))
      text.erase(at, word.size());
  }
  return text;
}

std::string_view fault_of(std::string_view password, std::string_view email, std::size_t min_characters) {
  if (!is_valid_utf8(password) || password.find('\0') != std::string_view::npos)
    return "must be text in UTF-8";
  if (password.size() > kMaxPasswordBytes) return "is too long: 512 bytes at most";
  if (utf8_length(password) < min_characters) return "is too short";
  std::string sorted(password);
  std::sort(sorted.begin(), sorted.end());
  const auto different = std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  if (static_cast<std::size_t>(different) < kMinDifferent) return "has too few different characters";
  const std::string text = to_lower_ascii(password);
  const std::string address = to_lower_ascii(email);
  std::string local_part = address.substr(0, address.find('@'));
  if (local_part.size() < kMinLocalPart) local_part = address;
  const std::string own = without(text, std::array<std::string_view, 2>{address, local_part});
  if (own.size() < text.size() && own.size() < kOwnCharacters) return "is too close to the e-mail address";
  const std::string bones = skeleton(password);
  const std::string uncommon = without(bones, kCommon);
  if (uncommon.size() < bones.size() && uncommon.size() < kOwnCharacters)
    return "is one of those that everybody tries first";
  return "";
}

// Work that one of the threads does; then whoever waits for it is resumed on its own loop.
struct Job {
  std::function<void()> work;
  net::Executor* executor = nullptr;
  Deadline deadline;
  std::coroutine_handle<> waiting;
  enum class Outcome { waiting, done, too_late } outcome = Outcome::waiting;
};

// Suspends until one of the threads has finished with the job.
struct JobAwaiter {
  std::function<void()> submit;
  Job& job;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    job.waiting = handle;
    submit();
  }
  void await_resume() const noexcept {}
};

}  // namespace

Result<void> check_new_password(std::string_view password, std::string_view email,
                                const PasswordOptions& options) {
  std::string fault(fault_of(password, email, options.min_characters));
  if (fault.empty()) return Result<void>();
  if (fault == "is too short")
    fault += ": at least " + std::to_string(options.min_characters) + " characters";
  return Error(ErrorCode::validation_failed, "the password is not good enough")
      .with_field("/password", fault);
}

struct Passwords::Impl {
  explicit Impl(PasswordOptions wanted)
      : options(wanted), dummy_hash(crypto::hash_password(crypto::random_bytes(16), wanted.cost)) {
    for (std::size_t i = 0; i < std::max<std::size_t>(options.threads, 1); ++i) {
      threads.emplace_back([this] { serve(); });
    }
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void serve() {
    // Of this thread alone, as Linux has it. Without it logins only compete harder.
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNiceness);
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopping || !queue.empty(); });
      if (stopping) return;
      Job* job = queue.front();
      queue.pop_front();
      lock.unlock();
      finish(*job);
      lock.lock();
    }
  }

  void finish(Job& job) {
    if (std::chrono::steady_clock::now() >= job.deadline) {
      job.outcome = Job::Outcome::too_late;
    } else {
      job.work();
      done.fetch_add(1, std::memory_order_relaxed);
      job.outcome = Job::Outcome::done;
    }
    // The job is the coroutine's: gone as soon as it goes on.
    const auto handle = job.waiting;
    job.executor->post([handle] { handle.resume(); });
  }

  bool has_room() {
    const std::lock_guard lock(mutex);
    return !stopping && queue.size() < options.max_queued;
  }

  void submit(Job& job) {
    {
      const std::lock_guard lock(mutex);
      queue.push_back(&job);
    }
    changed.notify_one();
  }

  Task<Result<void>> run(net::Executor& executor, std::function<void()> work, CallOptions call) {
    if (!has_room()) {
      co_return Error(ErrorCode::overloaded,
                      "too many people are signing in right now; try again in a moment");
    }
    Job job;
    job.work = std::move(work);
    job.executor = &executor;
    job.deadline = call.deadline;
    JobAwaiter awaiter{[this, &job] { submit(job); }, job};
    co_await awaiter;
    if (job.outcome == Job::Outcome::done) co_return Result<void>();
    co_return Error(ErrorCode::overloaded, "too many people are signing in right now; try again in a moment");
  }

  const PasswordOptions options;
  const std::string dummy_hash;
  std::atomic<std::uint64_t> done{0};
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job*> queue;
  bool stopping = false;
  std::vector<std::thread> threads;
};

Passwords::Passwords(PasswordOptions options) : impl_(std::make_unique<Impl>(options)) {}
Passwords::~Passwords() = default;

Task<Result<Passwords::Checked>> Passwords::check(net::Executor& executor, std::string hash,
                                                  std::string password, CallOptions options) {
  Checked checked;
  const Impl& impl = *impl_;
  const bool exists = !hash.empty();
  // Nobody's password is longer, and hashing a megabyte would be a way to keep the threads busy.
  if (password.size() > kMaxPasswordBytes) password.resize(kMaxPasswordBytes + 1);
  std::function<void()> work = [&] {
    const bool right = crypto::verify_password(exists ? hash : impl.dummy_hash, password);
    if (!right || !exists) return;
    checked.answer = Checked::Answer::right;
    if (crypto::needs_rehash(hash, impl.options.cost)) {
      checked.new_hash = crypto::hash_password(password, impl.options.cost);
    }
  };
  auto done = co_await impl_->run(executor, std::move(work), options);
  crypto::wipe(password);
  if (!done.ok()) co_return std::move(done).error();
  co_return checked;
}

Task<Result<std::string>> Passwords::hash(net::Executor& executor, std::string password,
                                          CallOptions options) {
  std::string hashed;
  const Impl& impl = *impl_;
  std::function<void()> work = [&] { hashed = crypto::hash_password(password, impl.options.cost); };
  auto done = co_await impl_->run(executor, std::move(work), options);
  crypto::wipe(password);
  if (!done.ok()) co_return std::move(done).error();
  if (hashed.empty())
    co_return Error(ErrorCode::overloaded, "there is no memory to hash a password right now");
  co_return hashed;
}

const PasswordOptions& Passwords::options() const { return impl_->options; }
std::uint64_t Passwords::done() const { return impl_->done.load(std::memory_order_relaxed); }

}  // namespace rowhouse::identity
