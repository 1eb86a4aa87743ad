// Project quotas (ext4, xfs): the file system itself refuses to store more than a limit in all files
// of one project, and whatever is made beneath a directory of the project belongs to it.
//
// A program in a container cannot leave its project: only the initial user namespace may change a
// file's project, and a rename out of it is a copy.
#pragma once

#include <cstdint>

#include "sys/error.h"

namespace bulkhead::storage {

// Whether the file system that `directory` lies on counts projects and enforces their limits now. Asks
// by quotactl_fd(2) (Linux 5.14); before that, no.
bool enforces_project_quota(int directory) noexcept;

struct ProjectLimit {
  std::uint32_t project = 0;  // not 0, which is every file's that has no project
  std::uint64_t bytes = 0;
  // Names cost the file system something too: as many files as there would be of one block each.
  std::uint64_t files() const noexcept { return bytes / 4096 + 1024; }
};

// EBUSY when files of that project exist already: somebody else's.
SysResult<void> set_project_limit(int directory, const ProjectLimit& limit) noexcept;
// Takes the limit away; fine when there is none.
SysResult<void> clear_project_limit(int directory, std::uint32_t project) noexcept;
// Makes `directory`, which must be empty, and what will be made in it, files of the project.
SysResult<void> assign_project(int directory, std::uint32_t project) noexcept;

}  // namespace bulkhead::storage
