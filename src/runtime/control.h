// What can be done to a container that exists: the commands beside create, start and exec. Each
// takes the state root and the id, and holds the container's lock only while it changes something.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "isolation/cgroup/parent.h"
#include "oci/spec.h"
#include "oci/state.h"
#include "runtime/record.h"

namespace bulkhead::runtime {

// The state document of a record: `rootfs`, `created` and annotations included.
oci::State to_state(const Record& record, const Observation& observation);

// `state`.
Result<oci::State> container_state(const std::string& state_root, std::string_view id);

// `list`. Containers that go meanwhile are left out; one whose record cannot be read stands in the
// list with its id and the status that can be told.
Result<std::vector<oci::State>> list_containers(const std::string& state_root);

enum class SignalTo { kInit, kEveryProcess };
// `kill`. kState "container not running" for one that is neither created nor running nor paused.
Result<void> kill_container(const std::string& state_root, std::string_view id, int signal,
                            SignalTo to);

enum class DeleteMode { kStoppedOnly, kForce };
// `delete`: the poststop hooks have run when it returns; their failures are the list. kForce kills
// first, removes what an interrupted create left, and is content when there is no such container.
Result<std::vector<Error>> delete_container(const std::string& state_root, std::string_view id,
                                            DeleteMode mode);

Result<void> pause_container(const std::string& state_root, std::string_view id);
Result<void> resume_container(const std::string& state_root, std::string_view id);
Result<void> update_container(const std::string& state_root, std::string_view id,
                              const oci::Resources& resources);

// `ps`: all processes in the container's groups.
Result<std::vector<HostPid>> container_processes(const std::string& state_root,
                                                 std::string_view id);

// The groups of a container that runs, for `events`. kState when it has ended.
Result<isolation::CgroupSet> container_groups(const std::string& state_root, std::string_view id);

}  // namespace bulkhead::runtime
