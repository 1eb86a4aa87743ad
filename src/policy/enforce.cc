#include "policy/enforce.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

#include "base/text.h"
#include "json/writer.h"
#include "sys/file.h"

namespace bulkhead::policy {
namespace {

std::string now() {
  struct timespec time{};
  struct tm utc{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  ::gmtime_r(&time.tv_sec, &utc);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                time.tv_nsec / 1'000'000);
  return text;
}

std::string annotation(const oci::Spec& spec, const char* name) {
  const auto found = spec.annotations.find(name);
  return found == spec.annotations.end() ? "" : found->second;
}

std::string line_of(const Subject& subject, std::span<const std::string> weakened,
                    std::span<const std::string> violations) {
  std::string line;
  json::Writer writer(line);
  const auto list = [&](std::string_view name, std::span<const std::string> texts) {
    writer.key(name);
    writer.begin_array();
    for (const std::string& text : texts) writer.string(text);
    writer.end_array();
  };
  writer.begin_object();
  writer.member("time", now());
  writer.member("event", violations.empty() ? "start" : "refused");
  writer.member("uid", ::getuid());
  // Who logged in, whatever he has become since.
  writer.key("loginUid");
  const auto login = read_file_at(AT_FDCWD, "/proc/self/loginuid");
  const auto number = login ? parse_number<std::uint32_t>(trim(*login)) : std::nullopt;
  if (number && *number != UINT32_MAX)
    writer.integer(*number);
  else
    writer.null();
  writer.member("pid", ::getpid());
  writer.member("container", subject.container);
  writer.member("name", annotation(subject.spec, "org.bulkhead.name"));
  writer.member("image", subject.image);
  writer.member("tenant", annotation(subject.spec, "org.bulkhead.tenant"));
  list("weakened", weakened);
  list("violations", violations);
  writer.end_object();
  return line + "\n";
}

}  // namespace

Result<void> append_to_audit_log(const std::string& path, const Subject& subject,
                                 std::span<const std::string> weakened,
                                 std::span<const std::string> violations) {
  TRY_ASSIGN(const Fd file,
             open_at(AT_FDCWD, path.c_str(),
                     O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0)
    return std::unexpected(Error(SysError{"fstat", errno, path.c_str()}));
  if (!S_ISREG(status.st_mode))
    return fail(ErrorKind::kInvalid, quoted(path) + ": the audit log is not a regular file");
  const std::string line = line_of(subject, weakened, violations);
  // One write: lines of several processes do not mix.
  const ssize_t size = ::write(file.get(), line.data(), line.size());
  if (size == static_cast<ssize_t>(line.size())) return {};
  return std::unexpected(Error(SysError{"write", size < 0 ? errno : ENOSPC, path.c_str()}));
}

Result<void> enforce(const Policy& policy, const Subject& subject,
                     std::span<const std::string> weakened) {
  const std::vector<std::string> found = violations(policy, subject);
  if (!policy.audit.empty()) {
    auto written = append_to_audit_log(policy.audit, subject, weakened, found);
    if (!written)
      return std::unexpected(
          std::move(written).error().within("the host's policy asks for an audit log"));
  }
  if (found.empty()) return {};
  std::string text;
  for (const std::string& each : found) text.append(text.empty() ? "" : "; ").append(each);
  return fail(ErrorKind::kPermission, "the host's policy forbids this container: " + text,
              std::string(kPolicyFile) + " is its administrator's");
}

}  // namespace bulkhead::policy
