#include "cli/interrupts.h"

namespace rowhouse::cli {
namespace {

volatile std::sig_atomic_t arrived_flag = 0;

void note(int) { arrived_flag = 1; }

}  // namespace

Interrupts::Interrupts() {
  arrived_flag = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // without SA_RESTART: poll() returns
  sigaction(SIGINT, &action, &before_);
}

Interrupts::~Interrupts() { sigaction(SIGINT, &before_, nullptr); }

bool Interrupts::arrived() const { return arrived_flag != 0; }

}  // namespace rowhouse::cli
