// What stands in files and pipes that a hostile image can shape: the headers of an archive, what a
// confined worker reports, and the store's record of an image.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "storage/image_names.h"
#include "storage/record.h"
#include "storage/tar/entry_path.h"
#include "storage/tree_record.h"
#include "storage/unpack/tar_headers.h"
#include "storage/unpack/worker_report.h"
#include "sys/fd.h"

namespace {

void check_headers(std::string_view text) {
  const bulkhead::Fd file(::memfd_create("archive", MFD_CLOEXEC));
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    std::abort();
  bulkhead::storage::TarHeaders headers(file.get());
  for (std::size_t count = 0;; ++count) {
    const auto member = headers.next();
    if (!member || !*member) return;
    if ((*member)->offset > text.size() || (*member)->size > text.size() - (*member)->offset)
      std::abort();
    if (count > text.size() / 512) std::abort();
  }
}

void check_record(std::string_view text) {
  const auto record = bulkhead::storage::decode_record(text);
  if (!record) return;
  for (const auto* list : {&record->layers, &record->blobs})
    for (const std::string& digest : *list)
      if (!bulkhead::storage::is_hex_digest(digest)) std::abort();
  const auto again = bulkhead::storage::decode_record(bulkhead::storage::encode(*record));
  if (!again || again->layers != record->layers || again->config != record->config) std::abort();
}

void check_tree_record(std::string_view text) {
  const auto record = bulkhead::storage::decode_tree_record(text);
  if (!record) return;
  const auto again = bulkhead::storage::decode_tree_record(bulkhead::storage::encode(*record));
  if (!again || *again != *record) std::abort();
}

// The file of a name is two levels beneath references/, whatever the name.
void check_name(std::string_view text) {
  const auto reference = bulkhead::storage::parse_reference(text);
  if (!reference) return;
  const std::string path = bulkhead::storage::name_path(*reference);
  if (std::count(path.begin(), path.end(), '/') != 2 || path.find("/.") != std::string::npos ||
      path.find('\0') != std::string::npos)
    std::abort();
  for (const std::string_view part : bulkhead::split(path, '/'))
    if (part.empty() || part.size() > 255) std::abort();
}

void check_path(std::string_view text) {
  const auto path = bulkhead::storage::parse_entry_path(text, 4095);
  if (!path) return;
  const std::string whole = "/" + path->whole() + "/";
  if (whole.find("/../") != std::string::npos || whole.find("/./") != std::string::npos ||
      path->name.find('/') != std::string::npos)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_headers(text);
  check_record(text);
  check_tree_record(text);
  check_name(text);
  check_path(text);
  (void)bulkhead::storage::decode_report(text);
  return 0;
}
