// What the runtime's unit tests share. Included by tests only.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "runtime/record.h"
#include "sys/file.h"

namespace bulkhead::runtime::testing {

// A directory of its own for one test, removed with what is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/bulkhead-runtime-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() {
    const std::string command = "rm -rf '" + path_ + "'";
    if (std::system(command.c_str()) != 0) std::perror(command.c_str());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline void write_text(const std::string& path, std::string_view text, mode_t mode = 0644) {
  auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, mode);
  ASSERT_TRUE(file) << path;
  ASSERT_TRUE(write_all(file->get(), text.data(), text.size()));
}

inline std::string text_of(const std::string& path) {
  return read_file_at(AT_FDCWD, path.c_str()).value_or("(no such file)");
}

// A child that does nothing until it is killed; killed and reaped at the latest by the destructor.
class IdleProcess {
 public:
  IdleProcess() : pid_(::fork()) {
    if (pid_ == 0)
      for (;;) ::pause();
  }
  ~IdleProcess() { end(); }
  IdleProcess(const IdleProcess&) = delete;
  IdleProcess& operator=(const IdleProcess&) = delete;

  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  HostPid pid() const { return HostPid(pid_); }
  InitProcess init() const { return {pid(), start_time_of(pid()).value_or(0)}; }

 private:
  pid_t pid_;
};

inline Record some_record(std::string_view id) {
  Record record;
  record.id = id;
  record.oci_version = "1.2.0";
  record.bundle = "/srv/bundle";
  record.rootfs = "/srv/bundle/rootfs";
  record.created = "2026-01-31T23:59:59.000000001Z";
  return record;
}

// A container as create leaves it, with `process` as its init and no cgroups.
inline void make_created(const std::string& root, std::string_view id, const IdleProcess& process) {
  auto directory = ContainerDirectory::take(root, id);
  ASSERT_TRUE(directory) << directory.error().message();
  ASSERT_TRUE(directory->write_record(some_record(id)));
  ASSERT_TRUE(directory->write_init(process.init()));
  ASSERT_TRUE(directory->bind_start_socket());
  ASSERT_TRUE(directory->confirm_init());
}

// And as start leaves it.
inline void make_running(const std::string& root, std::string_view id, const IdleProcess& process) {
  make_created(root, id, process);
  ASSERT_TRUE(ContainerDirectory::open(root, id)->remove_start_socket());
}

}  // namespace bulkhead::runtime::testing
