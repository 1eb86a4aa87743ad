// Another OCI runtime, driven by its command line: crun, runc and whatever follows the same contract.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/options.h"
#include "sys/fd.h"

namespace bulkhead::engine {

// The program of --runtime: a path, or a name looked for where the system has its programs. Empty for
// Bulkhead's own ("bulkhead").
Result<std::string> find_runtime(const std::string& name);

// What it says that it can do; what it does not say it cannot.
struct RuntimeAbilities {
  bool time_namespace = false;
};
RuntimeAbilities abilities_of(const std::string& program);

// Streams of a call: -1 for /dev/null, or for standard error what becomes part of the error.
struct RuntimeStreams {
  int input = -1;
  int output = -1;
  int error = -1;
};

// Runs `program` with --root and --log before `words`, and waits. Errors are in the runtime's own words;
// that of a program that cannot be executed has its kind.
Result<void> call_runtime(const std::string& runroot, const std::string& program,
                          const std::vector<std::string>& words,
                          const RuntimeStreams& streams = {});

// The words before the command, for who executes it himself.
std::vector<std::string> runtime_words(const std::string& runroot, const std::string& program);

// <runroot>/bundles/<id>: config.json, what is mounted on while it is made, and which runtime it was.
std::string foreign_bundle(const std::string& runroot, std::string_view id);
// Nothing for a container of Bulkhead's own runtime.
std::optional<std::string> foreign_runtime_of(const std::string& runroot, std::string_view id);
// `delete --force`, and the bundle goes. Fine when there is none.
Result<void> end_foreign(const std::string& runroot, const std::string& id);

}  // namespace bulkhead::engine
