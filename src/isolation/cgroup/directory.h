// A group as a directory of cgroupfs: values, processes, sub-groups. Paths are the host's own, made
// from a mount point and a path without ".."; cgroupfs has no symbolic links.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/cgroup/cgroup.h"

namespace bulkhead::isolation::cgroup {

// The file's text without its last newline; nothing when it cannot be read.
std::optional<std::string> value_of(const std::string& directory, const char* file);
// The file as one number ("max" is UINT64_MAX).
std::optional<std::uint64_t> number_of(const std::string& directory, const char* file);
// The number after `key` in a file of "key value" lines.
std::optional<std::uint64_t> number_in(std::string_view text, std::string_view key);

// One write(2) for each line of the value. The error says what, why and what to do.
enum class Written { kYes, kNoSuchFile };
Result<Written> write_setting(const std::string& directory, const CgroupSetting& setting);
Result<void> write_settings(const std::string& directory,
                            const std::vector<CgroupSetting>& settings);

// v2: enables the controllers for `directory`, from the root of the hierarchy down to its parent,
// in each group's cgroup.subtree_control.
Result<void> enable_controllers(const std::string& root, const std::string& directory,
                                const std::vector<std::string>& controllers);
bool has_word(std::string_view words, std::string_view word);  // words separated by spaces

// The names of the groups directly beneath.
std::vector<std::string> subgroups(const std::string& directory);
// Processes of the group and, `recursive`, of all beneath. A group that is gone has none.
Result<std::vector<HostPid>> processes_in(const std::string& directory);

// rmdir of the group and, first, of all groups beneath. errno of the first refusal (EBUSY:
// processes).
SysResult<void> remove_tree(const std::string& directory);

// Sleeps; twice as long each time, from 0.1 ms up to 20 ms, until a total is spent.
class Patience {
 public:
  explicit Patience(std::uint64_t milliseconds) : left_us_(milliseconds * 1000) {}
  bool wait();  // false: spent

 private:
  std::uint64_t left_us_;
  std::uint64_t next_us_ = 100;
};

// Sleeps until cgroup.events (v2) says `value` for `key` ("frozen", "populated"), at most so long;
// false when it does not, or when there is no such file or group.
bool wait_for_event(const std::string& directory, std::string_view key, std::uint64_t value,
                    int milliseconds);

}  // namespace bulkhead::isolation::cgroup
