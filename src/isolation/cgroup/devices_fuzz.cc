// Any device policy: the eBPF program and the v1 list, where there is one, decide every request as
// the policy itself does. The program is run by a small interpreter of the instructions it may use.
#include <cstdlib>

#include "isolation/cgroup/device_interpreter.h"
#include "isolation/cgroup/device_policy.h"
#include "isolation/cgroup/device_program.h"

using namespace bulkhead::isolation::cgroup;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  DevicePolicy policy;
  for (; size >= 2 && policy.rules.size() < 32; data += 2, size -= 2) {
    DeviceSet devices;
    devices.type = static_cast<DeviceType>(data[0] % 3);
    if ((data[0] & 0x10) != 0) devices.major = data[1] & 1;
    if ((data[0] & 0x20) != 0) devices.minor = data[1] >> 1 & 1;
    devices.access = static_cast<std::uint8_t>(1 + (data[1] >> 2) % 7);
    policy.rules.push_back({(data[0] & 0x40) != 0, devices});
  }
  const auto program = device_program(policy);
  const auto list = to_v1_list(policy);
  for (const DeviceType type : {DeviceType::kBlock, DeviceType::kCharacter})
    for (std::uint32_t device = 0; device < 9; ++device)
      for (std::uint8_t access = 1; access < 8; ++access) {
        const DeviceSet request{type, device / 3, device % 3, access};
        const bool allowed = policy.allows(request);
        if (interpret(program, request) != allowed) std::abort();
        if (list && v1_answer(*list, request) != allowed) std::abort();
      }
  return 0;
}
