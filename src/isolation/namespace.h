// What the layers of the kernel's eight namespaces have in common: whether one is made, joined or
// shared, how it is entered, and how the kernel shows it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "isolation/layer.h"
#include "sys/fd.h"

namespace bulkhead::isolation {

enum class NamespaceWish {
  kShared,  // not in the spec's list: the container stays in the runtime's own
  kNew,
  kPath,    // one that exists, by a file as in /proc/PID/ns
  kInside,  // exec: launch/ has entered the container's
};

struct NamespacePlan {
  NamespaceWish wish = NamespaceWish::kShared;
  oci::NamespaceType type{};
  std::string path;        // kPath
  std::uint64_t host = 0;  // the number of the runtime's own
  bool own() const { return wish != NamespaceWish::kShared; }
  bool is_new() const { return wish == NamespaceWish::kNew; }
};

// "network", as the runtime specification spells it.
std::string_view namespace_name(oci::NamespaceType type);
// CLONE_NEWNET.
std::uint64_t namespace_flag(oci::NamespaceType type) noexcept;

// Of /linux/namespaces. A type that stands there twice, a relative path, or a kind of namespace
// that this kernel lacks is an error.
Result<NamespacePlan> plan_namespace(oci::NamespaceType type, const Request& request,
                                     const HostFacts& host);
// Whether the spec lists the type at all.
bool lists_namespace(const Request& request, oci::NamespaceType type);

// Standing and first facts. `shares` says what is shared when there is none of the container's own.
Explanation explain_namespace(const NamespacePlan& plan, std::string_view shares);

// unshare(2) or setns(2); nothing for what launch/ has entered (child.joined).
SysResult<void> enter_namespace(const NamespacePlan& plan, ChildContext& child) noexcept;

// Compares the number in /proc/self/ns with the runtime's own (kNew) or with the one that the path
// named (kPath): one readlink(2).
SysResult<void> verify_namespace(const NamespacePlan& plan, ChildContext& child) noexcept;

// O_PATH of /proc/self/ns of the calling process, for own_namespace_number(): finding it costs three
// times what reading a link in it does.
SysResult<Fd> open_own_namespaces(int proc) noexcept;
// The number in "net:[4026531840]".
SysResult<std::uint64_t> own_namespace_number(int namespaces, oci::NamespaceType type) noexcept;
// The same in the child, which opens the directory once.
SysResult<std::uint64_t> own_namespace_number(ChildContext& child,
                                              oci::NamespaceType type) noexcept;

}  // namespace bulkhead::isolation
