#include "identity/passwords.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/blocking_work.h"

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

net::BlockingWorkOptions work_options(const PasswordOptions& options) {
  net::BlockingWorkOptions work;
  work.threads = options.threads;
  work.max_queued = options.max_queued;
  work.niceness = kNiceness;
  work.overloaded_message = "too many people are signing in right now; try again in a moment";
  return work;
}

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
      : options(wanted),
        dummy_hash(crypto::hash_password(crypto::random_bytes(16), wanted.cost)),
        work(work_options(wanted)) {}

  const PasswordOptions options;
  const std::string dummy_hash;
  net::BlockingWork work;
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
  auto done = co_await impl_->work.run(executor, std::move(work), options);
  crypto::wipe(password);
  if (!done.ok()) co_return std::move(done).error();
  co_return checked;
}

Task<Result<std::string>> Passwords::hash(net::Executor& executor, std::string password,
                                          CallOptions options) {
  std::string hashed;
  const Impl& impl = *impl_;
  std::function<void()> work = [&] { hashed = crypto::hash_password(password, impl.options.cost); };
  auto done = co_await impl_->work.run(executor, std::move(work), options);
  crypto::wipe(password);
  if (!done.ok()) co_return std::move(done).error();
  if (hashed.empty())
    co_return Error(ErrorCode::overloaded, "there is no memory to hash a password right now");
  co_return hashed;
}

const PasswordOptions& Passwords::options() const { return impl_->options; }
std::uint64_t Passwords::done() const { return impl_->work.done(); }

}  // namespace rowhouse::identity
