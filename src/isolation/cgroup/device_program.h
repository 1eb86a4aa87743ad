// The device policy as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE (Linux 4.15), which is
// what cgroup v2 has in place of the v1 devices controller. Assembled by hand: a dozen kinds of
// instructions, no loader, no BTF, 0.1 ms.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "isolation/cgroup/device_policy.h"
#include "sys/fd.h"

namespace bulkhead::isolation::cgroup {

std::vector<bpf_insn> device_program(const DevicePolicy& policy);

// Loads the program and attaches it to the cgroup v2 directory, in place of one that this function
// attached earlier. The attachment lives as long as the group.
SysResult<void> attach_device_program(int group_directory, const std::vector<bpf_insn>& program);

}  // namespace bulkhead::isolation::cgroup
