// bulkhead-unpack: brings one image of this host into the store. Executed by bulkhead when a layer is
// missing; not meant to be called by hand.
//
//   bulkhead-unpack STORE SOURCE [REFERENCE]
//   bulkhead-unpack --erofs STORE DIFF-ID...   EROFS images of layers that are there
//
// Exit code: 0 done, 2 nothing there, 1 any other failure; the reason stands on standard error, and
// what to do after "hint: ".
#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdio>
#include <string_view>

#include "cli/unpack/confinement.h"
#include "cli/unpack/erofs_writer.h"
#include "storage/unpack/import.h"

namespace {

using namespace bulkhead;

int fail_with(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  if (!error.hint().empty()) std::fprintf(stderr, "hint: %s\n", error.hint().c_str());
  return error.kind() == ErrorKind::kNotFound ? 2 : 1;
}

int make_erofs(int count, char** words) {
  if (count < 4)
    return fail_with({ErrorKind::kUsage, "usage: bulkhead-unpack --erofs STORE DIFF-ID..."});
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::umask(0077);
  auto host = isolation::gather_host_facts();
  if (!host) return fail_with(host.error());
  cli::LayeredErofsWriter confinement(*std::move(host));
  const auto made = storage::make_erofs_images(words[2], {words + 3, words + count}, confinement);
  return made ? 0 : fail_with(made.error());
}

int unpack(int count, char** words) {
  if (count < 3 || count > 4)
    return fail_with({ErrorKind::kUsage, "usage: bulkhead-unpack STORE SOURCE [REFERENCE]"});
  // Whoever asked for the image is gone: nobody will run it.
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  (void)::signal(SIGPIPE, SIG_IGN);
  // File names in archives are UTF-8 to libarchive or bytes; "C" would make it refuse the former.
  (void)::setlocale(LC_CTYPE, "C.UTF-8");
  ::umask(0);
  auto host = isolation::gather_host_facts();
  if (!host) return fail_with(host.error());
  cli::LayeredConfinement confinement(*std::move(host));
  const storage::Import wanted{words[1], words[2], count == 4 ? words[3] : ""};
  const auto notices = storage::import_image(wanted, confinement);
  if (!notices) return fail_with(notices.error());
  for (const std::string& line : notices->lines) std::fprintf(stderr, "note: %s\n", line.c_str());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count > 1 && std::string_view(words[1]) == "--erofs") return make_erofs(count, words);
  return unpack(count, words);
}
