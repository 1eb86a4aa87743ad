#include "runtime/criu_message.h"

namespace bulkhead::runtime {
namespace {

// The kinds of field that there are on the wire.
constexpr std::uint32_t kVarint = 0;
constexpr std::uint32_t kFixed64 = 1;
constexpr std::uint32_t kBytes = 2;
constexpr std::uint32_t kFixed32 = 5;

// Appends the fields of one message.
class MessageWriter {
 public:
  void number(std::uint32_t field, std::int64_t value) {
    varint(field << 3 | kVarint);
    varint(static_cast<std::uint64_t>(value));
  }
  // A flag that is off is left out: that is what CRIU takes an absent one for.
  void flag(std::uint32_t field, bool value) {
    if (value) number(field, 1);
  }
  void text(std::uint32_t field, std::string_view value) {
    varint(field << 3 | kBytes);
    varint(value.size());
    out_.append(value);
  }
  void optional_text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) text(field, value);
  }
  void message(std::uint32_t field, const MessageWriter& inner) { text(field, inner.out_); }
  std::string take() { return std::move(out_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }

  std::string out_;
};

// The fields of criu_opts.
MessageWriter write_options(const CriuOptions& options) {
  constexpr int kLogLevel = 4;  // everything: what went wrong is told from the log
  MessageWriter out;
  out.number(1, options.images);
  if (options.pid != 0) out.number(2, options.pid);
  out.flag(3, options.leave_running);
  out.flag(4, options.external_unix_sockets);
  out.flag(5, options.tcp_established);
  out.flag(7, options.shell_job);
  out.flag(8, options.file_locks);
  out.number(9, kLogLevel);
  out.text(10, options.log_file);
  out.number(12, 1);  // notifications
  out.optional_text(13, options.root);
  out.optional_text(14, options.parent_images);
  out.flag(15, options.track_memory);
  if (options.work >= 0) out.number(17, options.work);
  if (options.cgroup_mode) out.number(24, 1);
  for (const auto& [controller, path] : options.cgroup_roots) {
    MessageWriter entry;
    entry.optional_text(1, controller);
    entry.text(2, path);
    out.message(25, entry);
  }
  out.flag(26, options.restore_as_sibling);
  for (const auto& [name, descriptor] : options.inherited) {
    MessageWriter entry;
    entry.text(1, name);
    entry.number(2, descriptor);
    out.message(27, entry);
  }
  if (options.cgroup_mode) out.number(34, static_cast<int>(*options.cgroup_mode));
  for (const std::string& external : options.external) out.text(37, external);
  if (options.empty_namespaces != 0) out.number(38, options.empty_namespaces);
  out.optional_text(44, options.freezer);
  out.flag(50, options.hand_over_terminal);
  out.flag(52, options.tcp_close);
  out.optional_text(53, options.lsm_profile);
  out.optional_text(63, options.lsm_mount_context);
  return out;
}

struct Field {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;
};

// Takes the fields of a message one by one; every length is checked against what is there.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : rest_(bytes) {}

  // False at the end, and for what is malformed.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    std::uint64_t tag = 0;
    if (!varint(tag)) return give_up();
    field = Field{static_cast<std::uint32_t>(tag >> 3)};
    std::uint64_t size = 0;
    switch (tag & 7) {
      case kVarint: return varint(field.value) || give_up();
      case kFixed64: size = 8; break;
      case kFixed32: size = 4; break;
      case kBytes:
        if (!varint(size)) return give_up();
        break;
      default: return give_up();
    }
    if (size > rest_.size()) return give_up();
    field.bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool malformed() const { return malformed_; }

 private:
  bool varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool give_up() {
    malformed_ = true;
    return false;
  }

  std::string_view rest_;
  bool malformed_ = false;
};

std::int32_t number_of(const Field& field) { return static_cast<std::int32_t>(field.value); }

bool read_notification(std::string_view bytes, CriuAnswer& answer) {
  MessageReader reader(bytes);
  Field field;
  while (reader.next(field)) {
    if (field.number == 1) answer.script = field.bytes;
    if (field.number == 2) answer.pid = number_of(field);
  }
  return !reader.malformed();
}

bool read_restored(std::string_view bytes, CriuAnswer& answer) {
  MessageReader reader(bytes);
  Field field;
  while (reader.next(field))
    if (field.number == 1) answer.pid = number_of(field);
  return !reader.malformed();
}

bool read_features(std::string_view bytes, CriuAnswer& answer) {
  MessageReader reader(bytes);
  Field field;
  while (reader.next(field))
    if (field.number == 1) answer.tracks_memory = field.value != 0;
  return !reader.malformed();
}

bool read_version(std::string_view bytes, CriuAnswer& answer) {
  MessageReader reader(bytes);
  Field field;
  while (reader.next(field)) {
    if (field.number == 1) answer.version += number_of(field) % 1000 * 10000;
    if (field.number == 2) answer.version += number_of(field) % 100 * 100;
    if (field.number == 4) answer.version += number_of(field) % 100;
  }
  return !reader.malformed();
}

}  // namespace

std::string encode_criu_request(CriuCall call, const CriuOptions* options, bool keep_open) {
  MessageWriter out;
  out.number(1, static_cast<int>(call));
  if (options != nullptr) out.message(2, write_options(*options));
  out.flag(4, keep_open);
  return out.take();
}

std::string encode_criu_memory_tracking_query() {
  MessageWriter features;
  features.number(1, 1);
  MessageWriter out;
  out.number(1, static_cast<int>(CriuCall::kFeatureCheck));
  out.number(4, 1);
  out.message(5, features);
  return out.take();
}

std::string encode_criu_go_on(bool go_on) {
  MessageWriter out;
  out.number(1, static_cast<int>(CriuCall::kNotify));
  out.number(3, go_on ? 1 : 0);
  return out.take();
}

Result<CriuAnswer> decode_criu_answer(std::string_view bytes) {
  CriuAnswer answer;
  MessageReader reader(bytes);
  Field field;
  bool whole = true;
  while (whole && reader.next(field)) {
    switch (field.number) {
      case 1: answer.call = static_cast<CriuCall>(field.value); break;
      case 2: answer.success = field.value != 0; break;
      case 4: whole = read_restored(field.bytes, answer); break;
      case 5: whole = read_notification(field.bytes, answer); break;
      case 7: answer.error = number_of(field); break;
      case 8: whole = read_features(field.bytes, answer); break;
      case 9: answer.message = field.bytes; break;
      case 10: whole = read_version(field.bytes, answer); break;
      default: break;
    }
  }
  if (!whole || reader.malformed() || bytes.empty())
    return fail(ErrorKind::kInvalid, "CRIU's answer is malformed",
                "another program may be installed under the name criu");
  return answer;
}

}  // namespace bulkhead::runtime
