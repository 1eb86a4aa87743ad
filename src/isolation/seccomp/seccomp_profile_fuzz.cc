// Profiles in Docker's format, as text: whatever is accepted can be read as a profile or is refused
// with a reason.
#include <cstdint>
#include <cstdlib>

#include "isolation/seccomp/compiler.h"
#include "isolation/seccomp/profile_file.h"

using namespace bulkhead::isolation::seccomp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string> granted = {"CAP_SYS_ADMIN"};
  const auto file = read_profile_file({reinterpret_cast<const char*>(data), size}, {granted, 6, 1});
  if (!file) {
    if (file.error().message().empty()) std::abort();
    return 0;
  }
  const auto profile = read_profile(*file);
  if (!profile) return 0;
  if (!profile->unknown_names.empty()) std::abort();  // the reader is strict
  if (const auto decisions = decide(*profile)) (void)compile(*decisions);
  return 0;
}
