#include "isolation/cgroup/device_program.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace bulkhead::isolation::cgroup {
namespace {

// Registers: the context's fields are read once; r3 holds the accesses that are not decided yet.
constexpr std::uint8_t kAnswer = BPF_REG_0;
constexpr std::uint8_t kContext = BPF_REG_1;
constexpr std::uint8_t kType = BPF_REG_2;
constexpr std::uint8_t kAccess = BPF_REG_3;
constexpr std::uint8_t kMajor = BPF_REG_4;
constexpr std::uint8_t kMinor = BPF_REG_5;

bpf_insn instruction(std::uint8_t code, std::uint8_t destination, std::uint8_t source,
                     std::int16_t offset, std::int32_t immediate) {
  bpf_insn result{};
  result.code = code;
  result.dst_reg = destination & 0xF;
  result.src_reg = source & 0xF;
  result.off = offset;
  result.imm = immediate;
  return result;
}

bpf_insn load(std::uint8_t destination, std::size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, destination, kContext,
                     static_cast<std::int16_t>(offset), 0);
}
bpf_insn calculate(std::uint8_t operation, std::uint8_t destination, std::int32_t immediate) {
  return instruction(static_cast<std::uint8_t>(BPF_ALU64 | BPF_K | operation), destination, 0, 0,
                     immediate);
}
bpf_insn jump_if(std::uint8_t operation, std::uint8_t destination, std::int32_t immediate,
                 std::int16_t offset = 0) {
  return instruction(static_cast<std::uint8_t>(BPF_JMP | BPF_K | operation), destination, 0, offset,
                     immediate);
}

void answer(std::vector<bpf_insn>& program, bool allow) {
  program.push_back(calculate(BPF_MOV, kAnswer, allow ? 1 : 0));
  program.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

// Every jump of the block that has no target yet leads behind the block.
void append_block(std::vector<bpf_insn>& program, std::vector<bpf_insn> block) {
  for (std::size_t i = 0; i < block.size(); ++i)
    if (BPF_CLASS(block[i].code) == BPF_JMP && BPF_OP(block[i].code) != BPF_EXIT &&
        block[i].off == 0)
      block[i].off = static_cast<std::int16_t>(block.size() - i - 1);
  program.insert(program.end(), block.begin(), block.end());
}

// Falls through to the next block when the rule does not decide the request.
std::vector<bpf_insn> block_of(const DevicePolicyRule& rule) {
  const DeviceSet& devices = rule.devices;
  std::vector<bpf_insn> block;
  if (devices.type != DeviceType::kAny)
    block.push_back(jump_if(BPF_JNE, kType, static_cast<std::int32_t>(devices.type)));
  if (devices.major)
    block.push_back(jump_if(BPF_JNE, kMajor, static_cast<std::int32_t>(*devices.major)));
  if (devices.minor)
    block.push_back(jump_if(BPF_JNE, kMinor, static_cast<std::int32_t>(*devices.minor)));
  if (devices.access != kEveryAccess && rule.allow) {
    block.push_back(calculate(BPF_AND, kAccess, kEveryAccess & ~devices.access));
    block.push_back(jump_if(BPF_JNE, kAccess, 0));
  } else if (devices.access != kEveryAccess) {
    block.push_back(jump_if(BPF_JSET, kAccess, devices.access, 1));
    block.push_back(jump_if(BPF_JA, 0, 0));
  }
  answer(block, rule.allow);
  return block;
}

long bpf(int command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

int load_program(const std::vector<bpf_insn>& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.expected_attach_type = BPF_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
  attributes.license = reinterpret_cast<std::uintptr_t>(kLicense);
  std::memcpy(attributes.prog_name, "bulkhead_device", 16);
  return static_cast<int>(bpf(BPF_PROG_LOAD, attributes));
}

// Before 5.11 programs count against the limit of locked memory, which is lifted for the moment
// only: the container inherits this process's limits.
int load_program_unlocked(const std::vector<bpf_insn>& program) {
  rlimit before{};
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  if (::getrlimit(RLIMIT_MEMLOCK, &before) != 0 || ::setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) {
    errno = EPERM;
    return -1;
  }
  const int number = load_program(program);
  const int error = errno;
  ::setrlimit(RLIMIT_MEMLOCK, &before);
  errno = error;
  return number;
}

// The program of ours that is attached already (update): it is to be replaced, not joined by a
// second one, because every attached program has to agree.
Fd attached_program(int group_directory) {
  std::uint32_t ids[16] = {};
  bpf_attr query;
  std::memset(&query, 0, sizeof query);
  query.query.target_fd = static_cast<std::uint32_t>(group_directory);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids);
  query.query.prog_cnt = 16;
  if (bpf(BPF_PROG_QUERY, query) != 0) return Fd();
  for (std::uint32_t i = 0; i < query.query.prog_cnt && i < 16; ++i) {
    bpf_attr by_id;
    std::memset(&by_id, 0, sizeof by_id);
    by_id.prog_id = ids[i];
    Fd program(static_cast<int>(bpf(BPF_PROG_GET_FD_BY_ID, by_id)));
    if (!program) continue;
    bpf_prog_info info;
    std::memset(&info, 0, sizeof info);
    bpf_attr about;
    std::memset(&about, 0, sizeof about);
    about.info.bpf_fd = static_cast<std::uint32_t>(program.get());
    about.info.info_len = sizeof info;
    about.info.info = reinterpret_cast<std::uintptr_t>(&info);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, about) == 0 && std::strcmp(info.name, "bulkhead_device") == 0)
      return program;
  }
  return Fd();
}

}  // namespace

std::vector<bpf_insn> device_program(const DevicePolicy& policy) {
  std::vector<bpf_insn> program = {
      load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),  // access << 16 | type
      instruction(BPF_ALU64 | BPF_X | BPF_MOV, kAccess, kType, 0, 0),
      calculate(BPF_RSH, kAccess, 16),
      calculate(BPF_AND, kType, 0xFFFF),
      load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  for (auto rule = policy.rules.rbegin(); rule != policy.rules.rend(); ++rule) {
    append_block(program, block_of(*rule));
    if (rule->devices.everything()) return program;  // nothing gets past it
  }
  answer(program, false);
  return program;
}

SysResult<void> attach_device_program(int group_directory, const std::vector<bpf_insn>& program) {
  int number = load_program(program);
  if (number < 0 && errno == EPERM) number = load_program_unlocked(program);
  if (number < 0) return sys_fail("bpf(BPF_PROG_LOAD, cgroup device program)");
  const Fd loaded(number);
  const Fd previous = attached_program(group_directory);
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<std::uint32_t>(group_directory);
  attributes.attach_bpf_fd = static_cast<std::uint32_t>(loaded.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (previous) {
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<std::uint32_t>(previous.get());
  }
  if (bpf(BPF_PROG_ATTACH, attributes) != 0)
    return sys_fail("bpf(BPF_PROG_ATTACH, cgroup device program)");
  return {};
}

}  // namespace bulkhead::isolation::cgroup
