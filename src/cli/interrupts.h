// Ctrl-C while a command only watches: noted instead of ending the process.
//
// One at a time. The first SIGINT is noted and wakes whatever waits; the next one ends the process as usual.
#pragma once

#include <csignal>

namespace rowhouse::cli {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();  // as it was before
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  bool arrived() const;

 private:
  struct sigaction before_ {};
};

}  // namespace rowhouse::cli
