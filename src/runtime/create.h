// Making containers: `create`, `run` and the engine share one way from a spec to a process.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "isolation/cgroup/parent.h"
#include "launch/launch.h"
#include "runtime/activation.h"
#include "runtime/options.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// How the engine hands over a root file system that only exists as a mount (an idmapped overlay).
class RootMaker {
 public:
  virtual ~RootMaker() = default;
  // Called once the container's user namespace has its maps; `user_namespace` is -1 when the
  // container shares the host's. The detached mount becomes the root.
  virtual Result<Fd> make_root(int user_namespace) = 0;
  // The container has it, and works on without us: time to tidy up.
  virtual void root_handed_over() = 0;
};

enum class StartMode {
  kWaitForStart,  // `create`: the process waits on start.sock
  kStartAtOnce,   // `run`: no socket, no second process
};

// What is asked for. `options.common.state_root` must be set.
struct NewContainer {
  const CreateOptions& options;
  oci::Spec& spec;  // changed where the caller's environment asks for it (NOTIFY_SOCKET)
  std::string_view config_json;  // kept beside the record for exec and delete
  std::string bundle;            // absolute
  StartMode start_mode = StartMode::kWaitForStart;
  isolation::Defaults defaults;
  RootMaker* root_maker = nullptr;
  std::span<const isolation::HandedMount> handed_mounts = {};
  // For the host's policy and its log: which image it is, where that is known for certain, and what its
  // user has opened.
  std::string image = {};
  std::span<const std::string> opened = {};
  std::span<const std::string> own_mounts = {};  // policy::Subject::own_mounts
  // With kStartAtOnce: the container's first process is killed when this process dies.
  bool dies_with_us = false;
};

struct Container {
  ContainerDirectory directory;
  Record record;
  PidFd init;
  isolation::CgroupSet cgroups;
  Fd terminal;  // the master side, when nobody else took it (no --console-socket)
  // What the runtime specification wants warned about and not refused: unknown capabilities and
  // system calls, defaults that the host cannot offer.
  std::vector<std::string> warnings;
  NotifyRelay notify;  // kStartAtOnce: where the workload says that it is ready; may be empty
};

// On failure nothing of the container is left, and the id is free again.
Result<Container> make_container(NewContainer wanted);

// Reads, decodes and validates the bundle's configuration.
struct Bundle {
  std::string path;  // absolute
  std::string config_json;
  oci::Spec spec;
};
inline constexpr std::size_t kMostConfigBytes = 16 << 20;
Result<Bundle> load_bundle(const CreateOptions& options);

// What is to be remembered of a new container; it has a pid namespace of its own.
Record new_record(const CreateOptions& options, const oci::Spec& spec, const std::string& bundle,
                  const isolation::CgroupLimits::Plan& groups);

// `create`: a container from a bundle, left waiting for its start. The warnings.
Result<std::vector<std::string>> create_container(CreateOptions options);

}  // namespace bulkhead::runtime
