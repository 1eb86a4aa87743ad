#include "cli/registry/commands.h"
namespace bulkhead::cli {
Result<void> pull_command(const RegistryWords&) { return fail(ErrorKind::kUnsupported, "pull"); }
Result<void> push_command(const RegistryWords&) { return fail(ErrorKind::kUnsupported, "push"); }
Result<void> outdated_command(const RegistryWords&) { return fail(ErrorKind::kUnsupported, "o"); }
}  // namespace bulkhead::cli
