// A connected byte stream to a client, plain or TLS, and the listener that accepts them. Only src/net uses
// this; it keeps Asio and OpenSSL out of the HTTP code.
//
// One operation of each kind (read, write) may be under way at a time. Its end is told to the StreamUser from
// the loop, never from inside the call that started it. close() ends what is under way with IoStatus::closed,
// still told from the loop: the stream and its user must live until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/executor.h"

namespace rowhouse::net {

enum class IoStatus {
  ok,
  end,     // the peer sends no more
  closed,  // close() was called
  failed,  // reset, or a TLS error
};

class StreamUser {
 public:
  virtual void on_read(IoStatus status, std::size_t bytes) = 0;
  // Also tells the end of a handshake and of a shutdown, which count as writes.
  virtual void on_written(IoStatus status, std::size_t bytes) = 0;

 protected:
  ~StreamUser() = default;
};

class Stream {
 public:
  virtual ~Stream() = default;
  void set_user(StreamUser& user) { user_ = &user; }

  virtual bool needs_handshake() const = 0;
  virtual void start_handshake() = 0;
  virtual void start_read(char* buffer, std::size_t capacity) = 0;
  // Writes what can be taken without waiting: how many bytes, 0 if none (then start_write() tells why).
  virtual std::size_t write_now(std::span<const std::string_view> pieces) = 0;
  virtual void start_write(std::span<const std::string_view> pieces) = 0;  // some of the bytes, at least one
  // Tells the peer that no more comes. TLS also waits for the peer's goodbye.
  virtual void start_shutdown() = 0;
  virtual void close() = 0;
  virtual void reset() = 0;              // close() that the peer sees as an error
  virtual std::string peer() const = 0;  // "127.0.0.1:40123"

 protected:
  StreamUser* user_ = nullptr;
};

struct ListenOptions {
  std::string address;
  std::uint16_t port = 0;
  std::string certificate_file;  // empty: plain
  std::string key_file;
};

class Listener {
 public:
  // Errors: address_in_use, config_invalid. Listeners of one process may share an address and port (the
  // kernel spreads connections over them); another process's is in use.
  static Result<std::unique_ptr<Listener>> open(Executor& executor, const ListenOptions& options);
  virtual ~Listener() = default;

  virtual std::uint16_t port() const = 0;
  // Calls back from the loop for every connection until close(). Pauses for a moment when the process has no
  // descriptors left.
  virtual void start(std::function<void(std::unique_ptr<Stream>)> on_stream) = 0;
  virtual void close() = 0;
};

}  // namespace rowhouse::net
