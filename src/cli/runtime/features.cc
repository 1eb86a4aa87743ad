#include "runtime/features.h"

#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "cli/runtime/version.h"
#include "isolation/host_facts.h"

namespace bulkhead::cli {
namespace {

Result<int> features(Invocation& invocation) {
  TRY_ASSIGN(const auto arguments, invocation.parse({}, 0, 0));
  if (!arguments) return 0;
  TRY_ASSIGN(const isolation::HostFacts host, isolation::gather_host_facts());
  const oci::Features features = runtime::features(host, BULKHEAD_VERSION, commit());
  TRY(print(oci::encode(features) + "\n"));
  return 0;
}

}  // namespace

constexpr Command kFeaturesCommand{
    .name = "features",
    .arguments = "",
    .summary = "Print what this build can do on this kernel, as JSON",
    .description =
        "The features document of the runtime specification.\n\n"
        "Example:\n"
        "  bulkhead-runtime features\n",
    .run = features,
};

}  // namespace bulkhead::cli
