// What unpacking a layer needs and its extractor has no right to: marking directories opaque in the
// overlay's own attributes, and device nodes. The extractor asks for each over a typed channel, and the
// overseer checks it, does it beneath the layer's directory by descriptor, and answers.
//
// A device node would be a way to a disk for an extractor that was taken over: its view of the layer is
// mounted without devices (confinement.h).
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace bulkhead::storage {

struct DeviceNode {
  bool is_block = false;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  mode_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  timespec modified{};
};

// kLeftOut: the caller has not got the privilege; the layer is as good without.
enum class Act { kDone, kLeftOut };

class LayerActs {
 public:
  virtual ~LayerActs() = default;
  // The directory hides what the layers below have in its place. Marked in both ways, for overlays
  // that are mounted by root and for those in user namespaces (`userxattr`).
  virtual Result<void> mark_opaque(const std::string& directory) = 0;
  // Nothing must stand at `path`.
  virtual Result<Act> make_device(const std::string& path, const DeviceNode& node) = 0;
};

// Done here, beneath `root` (not owned). The paths may be hostile, and so may be whoever changes the
// tree at the same time: links in it lead nowhere but inside, and no other mount is entered.
class DirectActs final : public LayerActs {
 public:
  explicit DirectActs(int root) : root_(root) {}
  Result<void> mark_opaque(const std::string& directory) override;
  Result<Act> make_device(const std::string& text, const DeviceNode& node) override;

 private:
  int root_;
};

// Asked for over a SOCK_SEQPACKET socket. Needs read(2) and write(2) alone.
class RemoteActs final : public LayerActs {
 public:
  explicit RemoteActs(int socket) : socket_(socket) {}
  Result<void> mark_opaque(const std::string& directory) override;
  Result<Act> make_device(const std::string& path, const DeviceNode& node) override;

 private:
  int socket_;
};

// The other end: does what is asked until nobody can ask any more. The first request that cannot be
// done, has no meaning, or is one more than `most` ends it with its error.
Result<void> serve_acts(int socket, LayerActs& acts, std::uint64_t most);

}  // namespace bulkhead::storage
