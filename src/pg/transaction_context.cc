#include "pg/transaction_context.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <string_view>

#include "crypto/crypto.h"

namespace rowhouse::pg {
namespace {

// Appends numbers as PostgreSQL sends them: big-endian.
class Writer {
 public:
  explicit Writer(char* to) : at_(to) {}
  template <class T>
  char* number(T value) {
    char* begin = at_;
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
      *at_++ = static_cast<char>(static_cast<unsigned char>(value >> shift & 0xff));
    }
    return begin;
  }
  char* bytes(const void* data, std::size_t size) {
    char* begin = at_;
    std::memcpy(at_, data, size);
    at_ += size;
    return begin;
  }
  char* at() const { return at_; }

 private:
  char* at_;
};

constexpr std::size_t kMessageBytes = 56;

}  // namespace

SignedContext::SignedContext(const TransactionContext& context, std::int32_t backend_pid, std::int64_t number,
                             WallTime expires_at) {
  const auto expires_us =
      std::chrono::duration_cast<std::chrono::microseconds>(expires_at.time_since_epoch()).count();
  Writer parameters(bytes_.data());
  values_[0] = parameters.number(context.key().id);
  const char* message = parameters.at();
  values_[1] = parameters.bytes(context.tenant().bytes().data(), 16);
  values_[2] = values_[1] + 8;
  values_[3] = parameters.bytes(context.principal().bytes().data(), 16);
  values_[4] = values_[3] + 8;
  values_[5] = parameters.number(static_cast<std::int32_t>(context.role()));
  values_[6] = parameters.number(static_cast<std::int64_t>(expires_us));
  values_[7] = parameters.number(number);

  // The parameters from the tenant on are the message, but for the backend, which it knows itself.
  std::array<char, kContextKeyBytes + kMessageBytes> hashed;
  Writer input(hashed.data());
  input.bytes(context.key().bytes.data(), kContextKeyBytes);
  input.bytes(message, static_cast<std::size_t>(parameters.at() - message));
  input.number(backend_pid);
  const std::string mac = crypto::sha256(std::string_view(hashed.data(), hashed.size()));
  values_[8] = parameters.bytes(mac.data(), mac.size());
}

}  // namespace rowhouse::pg
