#include "cli/bulkhead/each_container.h"

namespace bulkhead::cli::engine {

Result<int> for_each_container(const Invocation& invocation, std::span<const std::string> names,
                               const OneContainer& act) {
  int code = 0;
  for (const std::string& name : names) {
    auto container = bulkhead::engine::find(invocation.store, name);
    auto done =
        container ? act(*container) : Result<void>(std::unexpected(std::move(container).error()));
    if (done) {
      print(name + "\n");
    } else {
      print_error(done.error());
      code = kSomeFailed;
    }
  }
  return code;
}

Result<void> want_containers(std::span<const std::string> names, std::string_view command) {
  if (!names.empty()) return {};
  return fail(ErrorKind::kUsage, "no container is named",
              "bulkhead " + std::string(command) + " CONTAINER...; bulkhead ps --all lists them");
}

}  // namespace bulkhead::cli::engine
