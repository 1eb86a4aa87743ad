// Registers bulkhead-runtime with other engines, in the files that they read, and takes it back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::engine {

enum class OtherEngine { kDocker, kPodman, kContainerd };
std::optional<OtherEngine> other_engine(std::string_view name);

enum class DefaultRuntime { kAsItIs, kBulkhead };

struct Registration {
  OtherEngine engine = OtherEngine::kDocker;
  std::string runtime;  // absolute path of bulkhead-runtime
  DefaultRuntime default_runtime = DefaultRuntime::kAsItIs;
};

// The name under which engines know it.
inline constexpr std::string_view kRuntimeName = "bulkhead";

// Where the engine reads, for this user.
Result<std::string> registration_file(OtherEngine engine);
// The bulkhead-runtime beside this program.
Result<std::string> installed_runtime();
// What to do for it to take effect.
std::string_view how_to_reload(OtherEngine engine);

// The registration by itself, as the engine reads it.
Result<std::string> registration_text(const Registration& registration);

// The text of a file with the registration in it; `before` is nothing when there is no such file.
// kInvalid for a text that is not the engine's format, kExists for one that says otherwise already.
Result<std::string> with_registration(const std::optional<std::string>& before,
                                      const Registration& registration);
// Without it, to the byte as it was before; nothing for a file that the registration made.
Result<std::optional<std::string>> without_registration(const std::string& text,
                                                        OtherEngine engine);

enum class FileChange { kNone, kWritten, kRemoved };
// The same with files: replaced by rename, with mode and owner as they were.
Result<FileChange> register_in(const std::string& file, const Registration& registration);
Result<FileChange> unregister_in(const std::string& file, OtherEngine engine);

}  // namespace bulkhead::engine
