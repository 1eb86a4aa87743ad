// The annotation as text: whatever is accepted makes a plan for every ABI.
#include <cstdlib>

#include "isolation/landlock/landlock.h"

using namespace bulkhead::isolation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bulkhead::oci::Spec spec;
  spec.annotations[std::string(Landlock::kAnnotation)] =
      std::string(reinterpret_cast<const char*>(data), size);
  for (int abi = 0; abi < 9; ++abi) {
    HostFacts host;
    host.landlock_abi = abi;
    const auto plan = Landlock::describe(Request{.spec = spec}, host);
    if (plan ? Landlock::explain(*plan).standing != plan->standing : plan.error().message().empty())
      std::abort();
  }
  return 0;
}
