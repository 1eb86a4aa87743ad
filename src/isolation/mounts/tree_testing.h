// What the tests of the file tree's layers share: a root file system in a temporary directory, a
// specification as engines write it, and the layers applied in their order. Included by tests only.
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "isolation/host_facts.h"
#include "isolation/layer.h"
#include "isolation/mount_namespace/mount_namespace.h"
#include "isolation/mounts/mounts.h"
#include "isolation/rootfs/rootfs.h"
#include "isolation/testing.h"

namespace bulkhead::isolation::testing {

// A directory that goes away with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/bulkhead-test-XXXXXX";
    if (::mkdtemp(name) == nullptr) std::abort();
    path_ = name;
    ::chmod(name, 0755);
  }
  ~TemporaryDirectory() {
    ::nftw(
        path_.c_str(),
        [](const char* path, const struct stat*, int, struct FTW*) { return ::remove(path); }, 16,
        FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  const TemporaryDirectory& directory(std::string_view name, mode_t mode = 0755) const {
    ::mkdir(at(name).c_str(), mode);
    ::chmod(at(name).c_str(), mode);
    return *this;
  }
  const TemporaryDirectory& file(std::string_view name, std::string_view content = "",
                                 mode_t mode = 0644) const {
    const Fd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (::write(fd.get(), content.data(), content.size()) < 0) std::abort();
    ::fchmod(fd.get(), mode);
    return *this;
  }
  const TemporaryDirectory& link(std::string_view name, const char* target) const {
    if (::symlink(target, at(name).c_str()) != 0) std::abort();
    return *this;
  }

 private:
  std::string path_;
};

// The directories that every image has.
inline void fill_root(const TemporaryDirectory& root) {
  for (const char* name : {"proc", "sys", "dev", "etc", "tmp", "bin", "mnt"}) root.directory(name);
}

// A host with everything, for describe().
inline HostFacts full_host() {
  HostFacts host;
  host.euid = 0;
  host.effective_capabilities = ~std::uint64_t{0};
  host.bounding_capabilities = ~std::uint64_t{0};
  host.kernel_major = 6;
  host.namespaces.fill(1);
  return host;
}

inline oci::Spec spec_of(const std::string& root) {
  oci::Spec spec;
  spec.root = oci::Root{root, false};
  spec.linux_.namespaces = {{oci::NamespaceType::kPid, ""},
                            {oci::NamespaceType::kMount, ""},
                            {oci::NamespaceType::kNetwork, ""}};
  return spec;
}

inline oci::Mount proc_mount() {
  return {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}};
}
inline oci::Mount dev_mount() {
  return {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}};
}
inline oci::Mount sys_mount() {
  return {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}};
}
inline oci::Mount devpts_mount() {
  return {"/dev/pts", "devpts",
          "devpts",   {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
          {},         {}};
}
inline oci::Mount bind_mount(std::string source, std::string destination,
                             std::vector<std::string> options = {"rbind"}) {
  return {std::move(destination), "bind", std::move(source), std::move(options), {}, {}};
}

inline Request request_of(const oci::Spec& spec) { return Request{spec, "test", "/"}; }

// describe and apply; a refused description counts as a failed call.
template <class L>
SysResult<void> make(const Request& request, const HostFacts& host, ChildContext& child) {
  const auto plan = L::describe(request, host);
  if (!plan) {
    std::fprintf(stderr, "describe: %s\n", plan.error().message().c_str());
    return sys_fail_with(EINVAL, "describe");
  }
  // Errors point into the plan: it lives as long as the test child.
  static std::vector<std::unique_ptr<typename L::Plan>> plans;
  plans.push_back(std::make_unique<typename L::Plan>(*plan));
  return L::apply(*plans.back(), child);
}
template <class L>
SysResult<void> verify_again(const Request& request, const HostFacts& host, ChildContext& child) {
  const auto plan = L::describe(request, host);
  if (!plan) return sys_fail_with(EINVAL, "describe");
  static std::vector<std::unique_ptr<typename L::Plan>> plans;
  plans.push_back(std::make_unique<typename L::Plan>(*plan));
  return L::verify(*plans.back(), child);
}

// Mount namespace, root and both halves of the mounts.
inline SysResult<void> make_tree(const Request& request, const HostFacts& host,
                                 ChildContext& child) {
  TRY(make<MountNamespace>(request, host, child));
  TRY(make<Rootfs>(request, host, child));
  TRY(make<EarlyMounts>(request, host, child));
  return make<LateMounts>(request, host, child);
}

// Into the new root by chroot, for looking at the tree without the root switch.
inline bool step_inside(const ChildContext& child) {
  return ::fchdir(child.root) == 0 && ::chroot(".") == 0;
}

inline bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace bulkhead::isolation::testing
