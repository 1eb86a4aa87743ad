#include "engine/copy_service.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "sys/file.h"
#include "sys/root_dir.h"

namespace bulkhead::engine {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY;
constexpr std::size_t kMostTarget = 4096;

// Nothing is resolved outside of the root directory that this process has, twice over: by its own root,
// and by RESOLVE_IN_ROOT.
Result<Fd> open_root() {
  TRY_ASSIGN(Fd root, open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  return root;
}

struct Split {
  std::string parent;
  std::string name;
};
Split split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

CopyAnswer failure(const SysError& error) {
  CopyAnswer answer;
  answer.error = error.error;
  answer.kind = kind_of_errno(error.error);
  answer.text = errno_text(error.error);
  return answer;
}

// Nobody reads what is written, or wrote what was read.
bool other_end_is_gone(int pipe) {
  struct pollfd item{pipe, POLLOUT, 0};
  return ::poll(&item, 1, 0) > 0 && (item.revents & POLLERR) != 0;
}

}  // namespace

CopyAnswer answer_of(const Error& error) {
  CopyAnswer answer;
  answer.error = -1;
  answer.kind = error.kind();
  answer.text = error.message();
  return answer;
}

Result<CopyAnswer> CopyService::status(const CopyRequest& request) const {
  TRY_ASSIGN(const Fd root, open_root());
  const int flags = O_PATH | (request.follow ? 0 : O_NOFOLLOW);
  const auto found = RootDir(root.get()).open(request.path.c_str(), flags);
  if (!found) {
    CopyAnswer answer = failure(found.error());
    if (found.error().error != ENOENT || !request.follow) return answer;
    // A link that leads to nothing: what is copied there goes where it leads.
    const auto link = RootDir(root.get()).open(request.path.c_str(), O_PATH | O_NOFOLLOW);
    std::array<char, kMostTarget> target{};
    const ssize_t size = link ? ::readlinkat(link->get(), "", target.data(), target.size()) : -1;
    answer.text = size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : "";
    return answer;
  }
  struct stat status{};
  if (::fstat(found->get(), &status) != 0) return failure({"fstat", errno});
  CopyAnswer answer;
  answer.is_directory = S_ISDIR(status.st_mode);
  answer.size = static_cast<std::uint64_t>(status.st_size);
  return answer;
}

Result<CopyAnswer> CopyService::pack(const CopyRequest& request) {
  TRY_ASSIGN(const Fd root, open_root());
  const RootDir top(root.get());
  Split place = split_path(request.path);
  // The directory itself where a link at the end is followed, else the one that holds the entry.
  Fd directory;
  const auto target =
      top.open(request.path.c_str(), kDirectory | (request.follow ? 0 : O_NOFOLLOW));
  if (target) {
    directory = Fd(::fcntl(target->get(), F_DUPFD_CLOEXEC, 0));
    place.name = ".";
  } else {
    std::string path = request.path;
    // By where the link leads, which is opened once and found again as one name in one directory.
    for (int links = 0; request.follow && links < 40; ++links) {
      const auto link = top.open(path.c_str(), O_PATH | O_NOFOLLOW);
      std::array<char, kMostTarget> text{};
      const ssize_t size = link ? ::readlinkat(link->get(), "", text.data(), text.size()) : -1;
      if (size <= 0) break;
      const std::string to(text.data(), static_cast<std::size_t>(size));
      path = to.starts_with('/') ? to : split_path(path).parent + "/" + to;
    }
    place = split_path(path);
    auto parent = top.open(place.parent.c_str(), kDirectory);
    if (!parent) return failure(parent.error());
    directory = std::move(*parent);
  }
  storage::TarStream tar(data_);
  storage::TreePacker packer(tar, progress_);
  TRY(packer.pack(directory.get(), place.name, request.name));
  TRY(tar.finish());
  CopyAnswer answer;
  answer.notes = packer.notes();
  return answer;
}

Result<CopyAnswer> CopyService::unpack(const CopyRequest& request) {
  TRY_ASSIGN(const Fd root, open_root());
  const auto directory = RootDir(root.get()).open(request.path.c_str(), kDirectory);
  if (!directory) return failure(directory.error());
  storage::TarReader archive(data_);
  storage::TreeUnpacker unpacker(directory->get(), request.rules, progress_);
  TRY(unpacker.unpack(archive));
  CopyAnswer answer;
  answer.notes = unpacker.notes();
  return answer;
}

CopyAnswer CopyService::carry_out(const CopyRequest& request) {
  auto answer = request.task == CopyTask::kStatus ? status(request)
                : request.task == CopyTask::kPack ? pack(request)
                                                  : unpack(request);
  if (answer) return *std::move(answer);
  CopyAnswer failed = answer_of(answer.error());
  if (request.task == CopyTask::kPack && other_end_is_gone(data_)) failed.error = EPIPE;
  return failed;
}

void CopyService::serve(int socket) {
  std::string packet(kMostCopyPacket + 1, '\0');
  for (;;) {
    const ssize_t size = ::read(socket, packet.data(), packet.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    const auto request =
        decode_copy_request(std::string_view(packet).substr(0, static_cast<std::size_t>(size)));
    CopyAnswer answer = request ? carry_out(*request) : answer_of(request.error());
    // Whoever reads or writes at the other end of the pipe comes to an end with us.
    if (!request || request->task != CopyTask::kStatus) ::close(data_);
    const std::string said = encode(answer);
    if (::write(socket, said.data(), said.size()) < 0) return;
  }
}

}  // namespace bulkhead::engine
