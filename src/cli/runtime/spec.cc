#include "oci/default_spec.h"

#include <unistd.h>

#include "base/text.h"
#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "oci/encode.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

Result<int> spec(Invocation& invocation) {
  std::string bundle = ".";
  bool rootless = false;
  const std::vector<Flag> flags = {
      {"bundle", 'b', &bundle, "DIR",
       "the directory to write config.json into (default: where you are)"},
      {"rootless", 0, &rootless, "", "for a user without root's rights"},
  };
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 0, 0));
  if (!arguments) return 0;
  const oci::Spec wanted =
      rootless ? oci::default_rootless_spec(::geteuid(), ::getegid()) : oci::default_spec();
  const std::string text = oci::encode(wanted, json::Style::kIndented) + "\n";
  const std::string path = bundle + "/config.json";
  auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file && file.error().error == EEXIST)
    return fail(ErrorKind::kExists, quoted(path) + " exists",
                "remove it first, or choose another --bundle");
  if (!file) return std::unexpected(Error(file.error()));
  if (auto written = write_all(file->get(), text.data(), text.size()); !written) {
    ::unlink(path.c_str());
    return std::unexpected(Error(written.error()).within(path));
  }
  return 0;
}

}  // namespace

constexpr Command kSpecCommand{
    .name = "spec",
    .arguments = "",
    .summary = "Write a config.json to start from",
    .description =
        "The container that it describes runs sh in the directory rootfs, well isolated.\n\n"
        "Example:\n"
        "  bulkhead-runtime spec --bundle /srv/web\n",
    .run = spec,
};

}  // namespace bulkhead::cli
