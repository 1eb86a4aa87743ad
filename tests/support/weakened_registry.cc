// bulkhead-registry with a flaw: what speaks to a registry, or resolves names for it, executes a
// payload, as if a parser had been broken. With the lock-in the payload must come to nothing; without
// it, it must be seen to work. Never installed.
//
// The environment of these processes is empty, so the program's own name says what to do:
// ROLE.DEED.locked or ROLE.DEED.free, where ROLE is fetcher or dialer. What the attacker is after lies
// beside the program: `store`, `secret`, `port` (of a server that he would like to reach).
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>

#include "base/text.h"
#include "cli/registry/program.h"
#include "storage/registry/fetcher_process.h"
#include "storage/registry/message.h"
#include "storage/registry/packet.h"
#include "sys/file.h"

namespace {

using namespace bulkhead;

std::string place;       // the program's directory
std::string role;        // "fetcher"
std::string deed;        // "read-secret"
std::uint16_t port = 0;  // read before the lock-in: the attacker knows his target

bool reads(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0; }

bool connects(std::uint32_t address) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(address);
  return socket >= 0 && ::connect(socket, reinterpret_cast<struct sockaddr*>(&to), sizeof to) == 0;
}

bool executes() {
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool reads_memory_of_overseer() {
  const std::string path = "/proc/" + std::to_string(::getppid()) + "/mem";
  const int memory = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  return memory >= 0;
}

const std::map<std::string, bool (*)()>& deeds() {
  static const std::map<std::string, bool (*)()> kDeeds{
      {"read-store", [] { return reads(place + "/store/layers"); }},
      {"write-store",
       [] {
         return ::open((place + "/store/evil").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
       }},
      {"read-secret", [] { return reads(place + "/secret"); }},
      {"read-passwd", [] { return reads("/etc/passwd"); }},
      {"write-tmp", [] { return ::open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) >= 0; }},
      {"connect", [] { return connects(0x7F000001); }},
      {"listen",
       [] {
         const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
         return socket >= 0 && ::listen(socket, 1) == 0;
       }},
      {"unix-socket", [] { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0; }},
      {"execute", executes},
      {"kill", [] { return ::kill(::getppid(), 0) == 0; }},
      {"trace", [] { return ::ptrace(PTRACE_SEIZE, ::getppid(), nullptr, nullptr) == 0; }},
      {"read-memory", reads_memory_of_overseer},
      {"become-root", [] { return ::setuid(0) == 0 && ::geteuid() == 0; }},
      {"unshare", [] { return ::syscall(SYS_unshare, 0x10000000) == 0; }},
      {"io-uring",
       [] { return ::syscall(SYS_io_uring_setup, 1, nullptr) >= 0 || errno == EFAULT; }},
      // What a fetcher needs: if this failed, the others would prove nothing.
      {"compute", [] { return std::getenv("HOME") == nullptr; }},
  };
  return kDeeds;
}

// Says to the overseer how it went, in the words of a fetcher; a dialer writes to its own overseer,
// which does not listen, and so leaves by an exit code.
void payload(const char* verb) {
  if (verb != role) return;
  const auto found = deeds().find(deed);
  const bool done = found != deeds().end() && found->second();
  const std::string text = std::string("payload: ") + (done ? "done" : "could not");
  if (role == storage::kFetcherVerb) {
    (void)storage::receive_packet_up_to(storage::kOverseerSocket, storage::kMostDescriptors);
    (void)storage::receive_packet_up_to(storage::kOverseerSocket, 1);
    (void)storage::send_packet(storage::kOverseerSocket,
                               encode(storage::FetchResult{storage::FetchEnd::kRefused, 0, text}));
  } else {
    (void)storage::receive_packet_up_to(storage::kPeerSocket, 0);
    (void)storage::send_packet(storage::kPeerSocket,
                               encode(storage::DialAnswer{storage::DialEnd::kForbidden, text}));
  }
  ::_exit(0);
}

}  // namespace

int main(int count, char** words) {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return 1;
  const std::string whole(path, static_cast<std::size_t>(size));
  place = whole.substr(0, whole.rfind('/'));
  std::string_view name = std::string_view(whole).substr(whole.rfind('/') + 1);
  role = next_field(name, '.');
  deed = next_field(name, '.');
  if (const auto text = read_file_at(AT_FDCWD, (place + "/port").c_str()))
    port = parse_number<std::uint16_t>(trim(*text)).value_or(0);
  cli::RegistryProgram program;
  program.payload = payload;
  if (name == "free") program.confinement = cli::RegistryProgram::Confinement::kNone;
  return cli::run_registry_program(count, words, program);
}
