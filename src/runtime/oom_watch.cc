#include "runtime/oom_watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>

#include "base/text.h"
#include "runtime/record.h"
#include "sys/file.h"

namespace bulkhead::runtime {
namespace {

std::uint64_t kills_in(int memory_events) {
  std::array<char, 1024> text;
  const ssize_t size = ::pread(memory_events, text.data(), text.size(), 0);
  if (size <= 0) return 0;
  for (std::string_view line :
       split(std::string_view(text.data(), static_cast<std::size_t>(size)), '\n'))
    if (next_field(line, ' ') == "oom_kill") return parse_number<std::uint64_t>(line).value_or(0);
  return 0;
}

}  // namespace

Result<std::optional<OomWatch>> OomWatch::start(std::span<const std::string> groups) {
  OomWatch watch;
  for (const std::string_view group : groups) {
    const std::size_t colon = group.find(':');
    const std::string controllers = "," + std::string(group.substr(0, colon)) + ",";
    const std::string directory(group.substr(colon + 1));
    if (controllers == ",,") {
      auto events = open_at(AT_FDCWD, (directory + "/memory.events").c_str(), O_RDONLY);
      if (!events) continue;  // hybrid: the controller is at home in v1
      watch.v2_ = true;
      watch.notification_ = *std::move(events);
      watch.kills_ = kills_in(watch.notification_.get());
      return watch;
    }
    if (controllers.find(",memory,") == std::string::npos) continue;
    TRY_ASSIGN(watch.control_,
               open_at(AT_FDCWD, (directory + "/memory.oom_control").c_str(), O_RDONLY));
    watch.notification_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!watch.notification_) return std::unexpected(Error(SysError{"eventfd", errno}));
    const std::string order =
        std::to_string(watch.notification_.get()) + " " + std::to_string(watch.control_.get());
    TRY(write_file_at(AT_FDCWD, (directory + "/cgroup.event_control").c_str(), order));
    return watch;
  }
  return std::nullopt;
}

OomWatch::Descriptors OomWatch::take() && {
  if (v2_) return {Fd(), std::move(notification_)};
  return {std::move(notification_), std::move(control_)};
}

short OomWatch::events() const noexcept { return v2_ ? POLLPRI : POLLIN; }

bool OomWatch::happened() {
  if (v2_) {
    const std::uint64_t kills = kills_in(notification_.get());
    const bool more = kills > kills_;
    kills_ = kills;
    return more;
  }
  std::uint64_t count = 0;
  if (::read(notification_.get(), &count, sizeof count) != static_cast<ssize_t>(sizeof count))
    return false;
  // The kernel also rings when the group is removed.
  struct stat status{};
  return ::fstat(control_.get(), &status) == 0 && status.st_nlink > 0;
}

Result<ContainerWatch> watch_container(const std::string& state_root, std::string_view id) {
  TRY_ASSIGN(const ContainerDirectory directory, ContainerDirectory::open(state_root, id));
  TRY_ASSIGN(const Record record, directory.read_record());
  TRY_ASSIGN(const Observation observation, directory.observe(record));
  if (observation.status == Status::kStopped || observation.status == Status::kCreating)
    return fail(ErrorKind::kState, "container " + quoted(id) + " is not running");
  ContainerWatch watch;
  TRY_ASSIGN(watch.init, ContainerDirectory::hold(observation.init));
  TRY_ASSIGN(watch.oom, OomWatch::start(record.cgroup_directories));
  return watch;
}

}  // namespace bulkhead::runtime
