#include "storage/size_limit.h"

#include <unistd.h>

#include "storage/helper_process.h"
#include "storage/project_quota.h"

namespace bulkhead::storage {
namespace {

constexpr LimitMethod kMethods[] = {LimitMethod::kProjectQuota, LimitMethod::kImageFile,
                                    LimitMethod::kTmpfs};
constexpr const char* kTmpfsKeepsNothing =
    "a tmpfs keeps nothing after the container's end, and this one is to be kept: give --rm";

std::string refusal_of(LimitMethod method, const LimitAbilities& abilities, Upper upper) {
  switch (method) {
    case LimitMethod::kProjectQuota: return abilities.project_quota;
    case LimitMethod::kImageFile: return abilities.image_file;
    case LimitMethod::kTmpfs: return upper == Upper::kDiscarded ? "" : kTmpfsKeepsNothing;
  }
  return "there is no such way";
}

}  // namespace

std::string_view name_of(LimitMethod method) {
  switch (method) {
    case LimitMethod::kProjectQuota: return "quota";
    case LimitMethod::kImageFile: return "image";
    case LimitMethod::kTmpfs: return "tmpfs";
  }
  return "";
}

std::optional<LimitMethod> limit_method_named(std::string_view name) {
  for (const LimitMethod method : kMethods)
    if (name_of(method) == name) return method;
  return std::nullopt;
}

std::string describe(LimitMethod method) {
  switch (method) {
    case LimitMethod::kProjectQuota: return "a project quota of the store's file system";
    case LimitMethod::kImageFile: return "an ext4 image file of that size";
    case LimitMethod::kTmpfs: return "a tmpfs of that size, whose memory is the container's";
  }
  return "";
}

LimitAbilities limit_abilities(int store) {
  LimitAbilities abilities;
  if (!enforces_project_quota(store))
    abilities.project_quota =
        "the store's file system enforces no project quotas: ext4 and xfs do when they are mounted "
        "with prjquota";
  if (auto program = find_system_program("mkfs.ext4", "e2fsprogs"); !program)
    abilities.image_file = program.error().message() + ": " + program.error().hint();
  else if (::access("/dev/loop-control", R_OK | W_OK) != 0)
    abilities.image_file = "there are no loop devices: modprobe loop";
  return abilities;
}

Result<LimitMethod> choose_limit_method(const LimitAbilities& abilities,
                                        std::optional<LimitMethod> wanted, Upper upper) {
  if (wanted) {
    const std::string refusal = refusal_of(*wanted, abilities, upper);
    if (refusal.empty()) return *wanted;
    return fail(ErrorKind::kUnsupported,
                "--storage-opt limit=" + std::string(name_of(*wanted)) + ": " + refusal,
                "leave limit= out, and the best way that this host has is taken");
  }
  std::string reasons;
  for (const LimitMethod method : kMethods) {
    const std::string refusal = refusal_of(method, abilities, upper);
    if (refusal.empty()) return method;
    reasons.append(reasons.empty() ? "" : "; ")
        .append(name_of(method))
        .append(": ")
        .append(refusal);
  }
  return fail(ErrorKind::kUnsupported,
              "--storage-opt size: nothing here can enforce it (" + reasons + ")",
              "a limit that is not enforced is none: make one of them work, or leave size= out");
}

}  // namespace bulkhead::storage
