#include "engine/result.h"

#include <sys/stat.h>

#include "base/text.h"
#include "json/writer.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void optional_member(json::Writer& writer, std::string_view name,
                     std::optional<std::uint64_t> value) {
  writer.key(name);
  if (value)
    writer.integer(*value);
  else
    writer.null();
}

}  // namespace

std::string encode(const RunResult& result) {
  std::string text;
  json::Writer writer(text, json::Style::kIndented);
  writer.begin_object();
  writer.member("id", result.id);
  writer.member("name", result.name);
  writer.member("image", result.image);
  writer.member("started", result.started);
  writer.member("finished", result.finished);
  writer.member("exitCode", result.exit.shell_code());
  writer.key("signal");
  if (result.exit.signal != 0)
    writer.integer(result.exit.signal);
  else
    writer.null();
  writer.member("oomKilled", result.oom_killed);
  writer.member("oomKills", result.oom_kills);
  if (!result.oom_victim.empty()) writer.member("oomVictim", result.oom_victim);
  writer.member("timedOut", result.timed_out);
  writer.member("outputLimited", result.output_limited);
  optional_member(writer, "peakMemoryBytes", result.peak_memory_bytes);
  optional_member(writer, "cpuNanoseconds", result.cpu_nanoseconds);
  optional_member(writer, "cpuUserNanoseconds", result.cpu_user_nanoseconds);
  optional_member(writer, "cpuSystemNanoseconds", result.cpu_system_nanoseconds);
  writer.end_object();
  text += '\n';
  return text;
}

Result<void> write_result_file(const std::string& path, const RunResult& result) {
  const std::string unfinished = path + ".unfinished-" + result.id.substr(0, 12);
  {
    TRY_ASSIGN(const Fd file, open_at(AT_FDCWD, unfinished.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    const std::string text = encode(result);
    if (auto written = write_all(file.get(), text.data(), text.size()); !written) {
      (void)::unlink(unfinished.c_str());
      return std::unexpected(Error(written.error()).within("--result " + quoted(path)));
    }
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) {
    const SysError error{"rename", errno, path.c_str()};
    (void)::unlink(unfinished.c_str());
    return std::unexpected(Error(error).within("--result"));
  }
  return {};
}

Result<void> check_result_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return fail(ErrorKind::kUsage, "--result " + quoted(path) + ": not a regular file",
                "the result is written beside it and renamed: name a file");
  const std::string directory = directory_of(path);
  if (::access(directory.c_str(), W_OK) != 0)
    return std::unexpected(
        Error(SysError{"access", errno, directory.c_str()}).within("--result " + quoted(path)));
  return {};
}

}  // namespace bulkhead::engine
