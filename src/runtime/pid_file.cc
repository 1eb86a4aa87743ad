#include "runtime/pid_file.h"

#include <cstdio>

#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

Result<void> write_new(const std::string& path, const std::string& text) {
  TRY_ASSIGN(const Fd file,
             open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
  TRY(write_all(file.get(), text.data(), text.size()));
  return {};
}

}  // namespace

Result<void> write_pid_file(const std::string& path, HostPid pid) {
  if (path.empty()) return {};
  const std::string number = std::to_string(pid.value());
  const std::string temporary = path + ".new-" + number;
  auto written = write_new(temporary, number);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0)
    written = std::unexpected(Error(SysError{"rename", errno, path.c_str()}));
  if (written) return {};
  ::unlink(temporary.c_str());
  return std::unexpected(std::move(written).error().within("writing the pid file"));
}

}  // namespace bulkhead::runtime
