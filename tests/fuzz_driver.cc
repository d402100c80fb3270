// Runs a fuzz target over stored inputs: every file of the directories given as arguments, in order of name,
// and the empty input. A crash or a failed check inside the target ends the process; a missing or empty
// directory is an error, so that a lost corpus cannot pass as a green test.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run_input(const std::string& bytes) {
  // A buffer of exactly the input's size, so that the address sanitizer sees a read past its end.
  std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<std::filesystem::path> files_of(const char* directory) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  size_t inputs = 0;
  run_input("");
  for (int i = 1; i < argc; ++i) {
    for (const auto& path : files_of(argv[i])) {
      std::ifstream stream(path, std::ios::binary);
      std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
      // Named before it runs, so that a crash says which input it was.
      std::printf("%s\n", path.c_str());
      std::fflush(stdout);
      run_input(bytes);
      ++inputs;
    }
  }
  std::printf("%zu inputs\n", inputs);
  if (inputs == 0) std::fprintf(stderr, "no inputs: give a directory with at least one file\n");
  return inputs == 0 ? 1 : 0;
}
