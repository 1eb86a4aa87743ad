// checkpoint and restore: this build has neither, and says so. Callers find out by these commands
// whether the flags that they would use are known.
#include "cli/runtime/command.h"

namespace bulkhead::cli {
namespace {

std::unexpected<Error> not_supported(std::string_view what) {
  return fail(ErrorKind::kUnsupported,
              std::string(what) + " is not supported by this version of bulkhead-runtime",
              "stop the container instead, and start a new one");
}

struct CriuFlags {
  std::string text[12];
  bool choice[10] = {};

  std::vector<Flag> flags() {
    return {
        {"image-path", 0, &text[0], "DIR", "where the image files are"},
        {"work-path", 0, &text[1], "DIR", "where work files and logs are"},
        {"parent-path", 0, &text[2], "DIR", "an earlier pre-dump"},
        {"manage-cgroups-mode", 0, &text[3], "MODE", "soft, full, strict or ignore"},
        {"empty-ns", 0, &text[4], "NAMESPACE", "do not take along what is in that namespace"},
        {"status-fd", 0, &text[5], "N", "a descriptor to be told at when pages can be asked for"},
        {"page-server", 0, &text[6], "ADDRESS:PORT", "send the pages there"},
        {"console-socket", 0, &text[7], "SOCKET", "a unix socket that receives the terminal"},
        {"bundle", 'b', &text[8], "DIR", "the bundle's directory"},
        {"pid-file", 0, &text[9], "FILE", "write the pid of the first process there"},
        {"lsm-profile", 0, &text[10], "TYPE:LABEL", "another label for the processes"},
        {"lsm-mount-context", 0, &text[11], "CONTEXT", "another label for the mounts"},
        {"leave-running", 0, &choice[0], "", "let the container go on"},
        {"tcp-established", 0, &choice[1], "", "take open TCP connections along"},
        {"ext-unix-sk", 0, &choice[2], "", "take external unix sockets along"},
        {"shell-job", 0, &choice[3], "", "take shell jobs along"},
        {"lazy-pages", 0, &choice[4], "", "fetch pages when they are used"},
        {"file-locks", 0, &choice[5], "", "take file locks along"},
        {"pre-dump", 0, &choice[6], "", "the memory alone, without a stop"},
        {"tcp-close", 0, &choice[7], "", "close TCP connections"},
        {"detach", 'd', &choice[8], "", "return once the container runs"},
        {"no-pivot", 0, &choice[9], "", "move the root mount instead of pivot_root"},
    };
  }
};

Result<int> checkpoint(Invocation& invocation) {
  CriuFlags given;
  const std::vector<Flag> flags = given.flags();
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 0, 1));
  if (!arguments) return 0;
  return not_supported("checkpointing");
}

Result<int> restore(Invocation& invocation) {
  CriuFlags given;
  const std::vector<Flag> flags = given.flags();
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 0, 1));
  if (!arguments) return 0;
  return not_supported("restoring from a checkpoint");
}

}  // namespace

constexpr Command kCheckpointCommand{
    .name = "checkpoint",
    .arguments = "CONTAINER",
    .summary = "Not supported by this version: fails with an error that says so",
    .description = "The flags are those that callers know.\n",
    .run = checkpoint,
};

constexpr Command kRestoreCommand{
    .name = "restore",
    .arguments = "CONTAINER",
    .summary = "Not supported by this version: fails with an error that says so",
    .description = "The flags are those that callers know.\n",
    .run = restore,
};

}  // namespace bulkhead::cli
