#include <string>
#include <vector>

#include "platform/program.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  return rowhouse::platform::run_program(words);
}
