#include "storage/unpack/save.h"

#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "oci/docker_archive.h"
#include "oci/image.h"
#include "storage/ingest.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/fill_layers.h"
#include "storage/unpack/image_documents.h"
#include "storage/unpack/spool.h"
#include "storage/unpack/store_blobs.h"
#include "storage/unpack/tar_writer.h"
#include "sys/file.h"
#include "sys/tree.h"

namespace bulkhead::storage {
namespace {

constexpr const char* kFullName = "io.containerd.image.name";
constexpr const char* kReferenceName = "org.opencontainers.image.ref.name";

// An archive or a directory: what is put into it, by name.
class Output {
 public:
  virtual ~Output() = default;
  virtual Result<void> document(const std::string& name, std::string_view content) = 0;
  // Copies; the SHA-256 of what was copied.
  virtual Result<std::string> file(const std::string& name, const Extent& content) = 0;
  virtual Result<void> finish() = 0;
};

class TarOutput final : public Output {
 public:
  explicit TarOutput(int fd) : fd_(fd), tar_(fd) {}
  Result<void> begin() {
    TRY(tar_.add_directory("blobs/"));
    return tar_.add_directory("blobs/sha256/");
  }
  Result<void> document(const std::string& name, std::string_view content) override {
    return tar_.add_file(name, content);
  }
  Result<std::string> file(const std::string& name, const Extent& content) override {
    TRY(tar_.begin_file(name, content.size));
    TRY_ASSIGN(std::string digest, copy_and_hash(content, fd_));
    TRY(tar_.end_file(content.size));
    return digest;
  }
  Result<void> finish() override { return tar_.finish(); }

 private:
  int fd_;
  PlainTar tar_;
};

// Under another name until it is whole.
class DirectoryOutput final : public Output {
 public:
  explicit DirectoryOutput(std::string path)
      : path_(std::move(path)), unfinished_(path_ + ".unfinished") {}
  ~DirectoryOutput() override {
    if (directory_) (void)remove_tree_at(AT_FDCWD, unfinished_.c_str());
  }
  DirectoryOutput(const DirectoryOutput&) = delete;
  DirectoryOutput& operator=(const DirectoryOutput&) = delete;

  Result<void> begin() {
    if (::access(path_.c_str(), F_OK) == 0)
      return fail(ErrorKind::kExists, quoted(path_) + " is there already",
                  "name a directory that is still to be made");
    if (::mkdir(unfinished_.c_str(), 0755) != 0)
      return std::unexpected(Error(SysError{"mkdir", errno, unfinished_.c_str()}));
    TRY_ASSIGN(directory_, open_at(AT_FDCWD, unfinished_.c_str(), O_RDONLY | O_DIRECTORY));
    for (const char* part : {"blobs", "blobs/sha256"})
      if (::mkdirat(directory_.get(), part, 0755) != 0)
        return std::unexpected(Error(SysError{"mkdir", errno, part}));
    return {};
  }
  Result<void> document(const std::string& name, std::string_view content) override {
    TRY_ASSIGN(const Fd file, make(name));
    TRY(write_all(file.get(), content.data(), content.size()));
    return {};
  }
  Result<std::string> file(const std::string& name, const Extent& content) override {
    TRY_ASSIGN(const Fd file, make(name));
    // A file system that shares extents copies nothing.
    if (content.offset == 0 && ::ioctl(file.get(), FICLONE, content.fd) == 0)
      return hash_extent(content);
    return copy_and_hash(content, file.get());
  }
  Result<void> finish() override {
    if (::renameat2(AT_FDCWD, unfinished_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0)
      return std::unexpected(Error(SysError{"rename", errno, path_.c_str()}));
    directory_.reset();
    return {};
  }

 private:
  Result<Fd> make(const std::string& name) {
    auto file = open_at(directory_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0644);
    if (!file) return std::unexpected(Error(file.error()));
    return *std::move(file);
  }

  std::string path_;
  std::string unfinished_;
  Fd directory_;
};

struct Saved {
  ImageRecord record;
  std::string manifest_text;
  oci::Manifest manifest;
  std::vector<Reference> names;
};

class Saving {
 public:
  Saving(const Store& store, Ingest& ingest, Confinement& confinement)
      : store_(store), ingest_(ingest), confinement_(confinement) {}

  Result<void> read(const ImageToSave& wanted) {
    TRY(hold(wanted.manifest));
    Saved saved;
    TRY_ASSIGN(auto record, store_.find_manifest(wanted.manifest));
    if (!record)
      return fail(ErrorKind::kNotFound,
                  "the image " + wanted.manifest.substr(0, 12) + " has just been removed");
    saved.record = *std::move(record);
    TRY(hold(saved.record.config_digest));
    for (const std::string& blob : saved.record.blobs) TRY(hold(blob));
    const std::string path = blob_path(wanted.manifest);
    TRY_ASSIGN(saved.manifest_text, read_file_at(store_.get(), path.c_str(), kMostDocumentBytes));
    TRY_ASSIGN(saved.manifest, oci::decode_manifest(saved.manifest_text));
    if (saved.manifest.layers.size() != saved.record.layers.size())
      return fail(
          ErrorKind::kInvalid,
          "the store's record of the image " + wanted.manifest.substr(0, 12) + " is damaged",
          "bulkhead system check --repair");
    saved.names = wanted.names;
    images_.push_back(std::move(saved));
    return {};
  }

  Result<void> write(Output& output, ArchiveFormat format) {
    std::vector<oci::DockerArchiveImage> docker;
    bool is_layout = true;
    for (const Saved& image : images_) {
      oci::DockerArchiveImage listed;
      listed.config = "blobs/sha256/" + image.record.config_digest;
      for (const Reference& name : image.names)
        if (!name.tag.empty()) listed.repo_tags.push_back(name.familiar());
      TRY(write_blob(output, image.record.config_digest));
      for (std::size_t i = 0; i < image.record.layers.size(); ++i) {
        TRY_ASSIGN(std::string member, write_layer(output, format, image, i));
        is_layout = is_layout && member == "blobs/sha256/" + image.record.blobs[i];
        listed.layers.push_back(std::move(member));
      }
      docker.push_back(std::move(listed));
    }
    if (is_layout) {
      for (const Saved& image : images_) TRY(write_blob(output, image.record.manifest_digest));
      TRY(output.document("index.json", index()));
      TRY(output.document("oci-layout", oci::encode_image_layout()));
    }
    if (format == ArchiveFormat::kDocker)
      TRY(output.document("manifest.json", oci::encode_docker_archive(docker)));
    return output.finish();
  }

 private:
  Result<void> hold(const std::string& hex) {
    TRY_ASSIGN(const bool there, ingest_.hold_blob(hex));
    if (there) return {};
    return fail(ErrorKind::kState, "the store has lost the blob " + hex,
                "bulkhead system check says what else is missing; load or pull the image again");
  }

  Result<void> write_blob(Output& output, const std::string& hex) {
    if (!written_.insert(hex).second) return {};
    TRY_ASSIGN(const Extent blob, open_blob(store_, hex));
    TRY_ASSIGN(const std::string digest, output.file("blobs/sha256/" + hex, blob));
    return require(digest, hex);
  }

  static Result<void> require(const std::string& digest, const std::string& hex) {
    if (digest == hex) return {};
    return fail(ErrorKind::kInvalid, "the store's blob " + hex + " is damaged",
                "load or pull the image again; bulkhead system check says what else is");
  }

  // The name of the member that has the layer.
  Result<std::string> write_layer(Output& output, ArchiveFormat format, const Saved& image,
                                  std::size_t number) {
    const std::string& hex = image.record.blobs[number];
    const std::string& diff_id = image.record.layers[number];
    TRY_ASSIGN(const Extent blob, open_blob(store_, hex));
    Extent head;
    head.fd = blob.fd;
    head.size = std::min<std::uint64_t>(blob.size, 8);
    TRY_ASSIGN(const std::string bytes, read_extent(head, 8));
    if (format != ArchiveFormat::kDocker || bytes.size() < 4 ||
        sniff_compression(bytes) != Compression::kZstd) {
      TRY(write_blob(output, hex));
      return "blobs/sha256/" + hex;
    }
    std::string member = "blobs/sha256/" + diff_id;
    if (!written_.insert(diff_id).second) return member;
    Extent plain;
    TRY_ASSIGN(plain.owner, ingest_.new_file("layer"));
    plain.fd = plain.owner.get();
    TRY_ASSIGN(const std::string digest,
               spool_decompressed(blob.fd, plain.fd, ~std::uint64_t{0}, confinement_));
    TRY(require(digest, diff_id));
    struct stat status{};
    if (::fstat(plain.fd, &status) != 0) return std::unexpected(Error(SysError{"fstat", errno}));
    plain.size = static_cast<std::uint64_t>(status.st_size);
    TRY_ASSIGN(const std::string written, output.file(member, plain));
    TRY(require(written, diff_id));
    return member;
  }

  std::string index() const {
    oci::Index index;
    index.media_type = oci::kMediaTypeIndex;
    for (const Saved& image : images_) {
      oci::Descriptor descriptor;
      descriptor.media_type = image.manifest.media_type.empty()
                                  ? std::string(oci::kMediaTypeManifest)
                                  : image.manifest.media_type;
      descriptor.digest = "sha256:" + image.record.manifest_digest;
      descriptor.size = static_cast<std::int64_t>(image.manifest_text.size());
      bool named = false;
      for (const Reference& name : image.names) {
        if (name.tag.empty()) continue;
        descriptor.annotations = {{kFullName, name.canonical()},
                                  {kReferenceName, name.canonical()}};
        index.manifests.push_back(descriptor);
        named = true;
      }
      if (!named) index.manifests.push_back(descriptor);
    }
    return oci::encode(index);
  }

  const Store& store_;
  Ingest& ingest_;
  Confinement& confinement_;
  std::vector<Saved> images_;
  std::set<std::string, std::less<>> written_;
};

}  // namespace

Result<void> save_images(const std::string& store_path, const std::vector<ImageToSave>& images,
                         ArchiveFormat format, const SaveTarget& target, Confinement& confinement) {
  TRY_ASSIGN(const Store store, Store::open(store_path));
  // Nothing is added: it holds what is read, against a removal meanwhile.
  TRY_ASSIGN(Ingest ingest, Ingest::begin(store));
  Saving saving(store, ingest, confinement);
  for (const ImageToSave& image : images) TRY(saving.read(image));
  if (format == ArchiveFormat::kDirectory) {
    DirectoryOutput output(target.path);
    TRY(output.begin());
    return saving.write(output, format);
  }
  TarOutput output(target.output);
  TRY(output.begin());
  return saving.write(output, format);
}

}  // namespace bulkhead::storage
