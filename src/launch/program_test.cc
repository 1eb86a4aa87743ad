#include "launch/program.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

namespace bulkhead::launch {
namespace {

oci::Process process_of(std::vector<std::string> args, std::vector<std::string> env = {}) {
  oci::Process process;
  process.args = std::move(args);
  process.env = std::move(env);
  return process;
}

TEST(Program, FindsABareNameInThePathOfTheContainer) {
  const oci::Process process = process_of({"sh"}, {"PATH=/nowhere:/bin"});
  auto program = Program::prepare(process);
  ASSERT_TRUE(program);
  const auto path = program->locate();
  ASSERT_TRUE(path);
  EXPECT_STREQ(*path, "/bin/sh");
}

TEST(Program, SaysENOENTForANameThatIsNowhere) {
  const oci::Process process = process_of({"no-such-program"});
  auto program = Program::prepare(process);
  ASSERT_TRUE(program);
  const auto path = program->locate();
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().error, ENOENT);
}

TEST(Program, SaysEACCESForAFileWithoutAnXBit) {
  const oci::Process process = process_of({"/etc/passwd"});
  auto program = Program::prepare(process);
  ASSERT_TRUE(program);
  const auto path = program->locate();
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().error, EACCES);
}

TEST(Program, RefusesToDoWithoutAName) {
  const oci::Process process = process_of({});
  EXPECT_FALSE(Program::prepare(process));
}

TEST(Program, FillsHomeFromThePasswordFileOnlyWhenItIsNotGiven) {
  const oci::Process bare = process_of({"sh"}, {"A=b"});
  auto program = Program::prepare(bare);
  ASSERT_TRUE(program);
  program->fill_home(ContainerUid(0));
  EXPECT_STREQ(program->envp()[1], "HOME=/root");
  const oci::Process given = process_of({"sh"}, {"HOME=/given"});
  auto other = Program::prepare(given);
  ASSERT_TRUE(other);
  other->fill_home(ContainerUid(0));
  EXPECT_STREQ(other->envp()[0], "HOME=/given");
  EXPECT_EQ(other->envp()[1], nullptr);
}

TEST(ExplainExecFailure, NamesTheCarriageReturn) {
  const Error error = explain_exec_failure("/run.sh", ENOENT, "#!/bin/bash\r\necho\r\n");
  EXPECT_EQ(error.kind(), ErrorKind::kCommandNotFound);
  EXPECT_NE(error.message().find("\"/bin/bash\\r\""), std::string::npos);
  EXPECT_NE(error.hint().find("CRLF"), std::string::npos);
}

TEST(ExplainExecFailure, NamesTheMissingInterpreter) {
  const Error error = explain_exec_failure("/run.py", ENOENT, "#! /usr/bin/python3 -u\nprint()\n");
  EXPECT_NE(error.message().find("interpreter \"/usr/bin/python3\""), std::string::npos);
}

TEST(ExplainExecFailure, NamesTheMissingLoader) {
  std::string head(1024, '\0');
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_INTERP;
  segment.p_offset = 512;
  segment.p_filesz = 18;
  std::memcpy(head.data(), &header, sizeof header);
  std::memcpy(head.data() + sizeof header, &segment, sizeof segment);
  std::memcpy(head.data() + 512, "/lib/ld-musl.so.1", 18);
  const Error error = explain_exec_failure("/app", ENOENT, head);
  EXPECT_NE(error.message().find("loader \"/lib/ld-musl.so.1\""), std::string::npos);
}

TEST(ExplainExecFailure, TakesAHostileHeadCalmly) {
  std::string head(64, '\0');
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_phoff = ~0ULL - 8;
  header.e_phnum = 0xFFFF;
  std::memcpy(head.data(), &header, sizeof header);
  EXPECT_EQ(explain_exec_failure("/app", ENOENT, head).kind(), ErrorKind::kCommandNotFound);
}

TEST(ExplainExecFailure, SaysWhatDockerParses) {
  EXPECT_NE(
      explain_exec_failure("nope", ENOENT, "").message().find("executable file not found in $PATH"),
      std::string::npos);
  EXPECT_NE(explain_exec_failure("/x", EACCES, "").message().find("permission denied"),
            std::string::npos);
}

}  // namespace
}  // namespace bulkhead::launch
