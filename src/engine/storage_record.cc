#include "engine/storage_record.h"

#include "base/text.h"
#include "json/parse.h"
#include "json/writer.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

constexpr const char* kFile = "/storage.json";
constexpr std::size_t kMostBytes = 1 << 12;

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorKind::kInvalid, "storage record: " + std::string(what));
}

}  // namespace

std::string encode(const StorageRecord& record) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  writer.member("storage", record.layers.form == storage::LayerForm::kErofs ? "erofs" : "overlay");
  writer.member("directIo", record.layers.reading == storage::Layers::Reading::kDirect);
  writer.member("firstUid", record.first_uid.value());
  if (record.limit) {
    writer.member("sizeLimit", record.limit->bytes);
    writer.member("sizeLimitBy", name_of(record.limit->method));
  }
  writer.end_object();
  text += '\n';
  return text;
}

Result<StorageRecord> decode_storage_record(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value& root = document.root();
  const json::Value* const form = root.find("storage");
  const json::Value* const direct = root.find("directIo");
  const json::Value* const uid = root.find("firstUid");
  if (form == nullptr || direct == nullptr || uid == nullptr) return malformed("incomplete");
  StorageRecord record;
  if (form->as_string() == "erofs")
    record.layers.form = storage::LayerForm::kErofs;
  else if (form->as_string() != "overlay")
    return malformed("unknown storage " + quoted(form->as_string()));
  if (direct->as_boolean()) record.layers.reading = storage::Layers::Reading::kDirect;
  const auto first = uid->as_uint64();
  if (!first || *first > UINT32_MAX) return malformed("firstUid");
  record.first_uid = HostUid(static_cast<uid_t>(*first));
  const json::Value* const size = root.find("sizeLimit");
  const json::Value* const by = root.find("sizeLimitBy");
  if (size == nullptr && by == nullptr) return record;
  if (size == nullptr || by == nullptr) return malformed("incomplete");
  const auto bytes = size->as_uint64();
  const auto method = storage::limit_method_named(by->as_string());
  if (!bytes || !method) return malformed("sizeLimit");
  record.limit = {*bytes, *method};
  return record;
}

Result<void> write_storage_record(int store, const std::string& container,
                                  const StorageRecord& record) {
  if (record.is_default()) return {};
  const std::string path = container + kFile;
  const std::string text = encode(record);
  // Nobody reads it before the container's directory is unlocked, and a part of it is as good as
  // none: nothing that it names has been made yet.
  TRY_ASSIGN(const Fd file,
             open_at(store, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(write_all(file.get(), text.data(), text.size()));
  return {};
}

Result<StorageRecord> read_storage_record(int store, const std::string& container) {
  const std::string path = container + kFile;
  const auto text = read_file_at(store, path.c_str(), kMostBytes);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return StorageRecord{};
    return std::unexpected(text.error());
  }
  if (text->empty() || text->back() != '\n') return StorageRecord{};
  auto record = decode_storage_record(*text);
  if (!record) return std::unexpected(std::move(record).error().within(path));
  return record;
}

}  // namespace bulkhead::engine
