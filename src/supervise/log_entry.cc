#include "supervise/log_entry.h"

#include <cstring>

#include "base/text.h"
#include "json/parse.h"

namespace bulkhead::supervise {
namespace {

// What a byte is to a JSON string: itself, an escape, or the beginning of a longer UTF-8 sequence.
enum class Class : std::uint8_t { kPlain, kEscaped, kLong };

constexpr std::array<Class, 256> classes() {
  std::array<Class, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = i < 0x20 || i == '"' || i == '\\' || i == 0x7F ? Class::kEscaped
               : i < 0x80                                     ? Class::kPlain
                                                              : Class::kLong;
  return table;
}
constexpr std::array<Class, 256> kClasses = classes();

class Output {
 public:
  explicit Output(char* at) : begin_(at), at_(at) {}
  void add(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void escape(unsigned char byte) noexcept {
    constexpr std::string_view kDigits = "0123456789abcdef";
    switch (byte) {
      case '\n': return add("\\n");
      case '\r': return add("\\r");
      case '\t': return add("\\t");
      case '"': return add("\\\"");
      case '\\': return add("\\\\");
      default: break;
    }
    add("\\u00");
    *at_++ = kDigits[byte >> 4];
    *at_++ = kDigits[byte & 15];
  }
  std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

 private:
  char* begin_;
  char* at_;
};

// Twice as many days as fit anybody's log; no C library, which would read the host's time zone.
struct Date {
  int year;
  int month;
  int day;
};
Date date_of(std::int64_t days) noexcept {
  // Days since 0000-03-01, in eras of 400 years.
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<std::uint32_t>(days - era * 146'097);
  const std::uint32_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint32_t shifted = (5 * day_of_year + 2) / 153;  // months from March on
  const std::uint32_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {static_cast<int>(year_of_era + static_cast<std::uint32_t>(era * 400)) + (month <= 2),
          static_cast<int>(month), static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1)};
}

void write_digits(char* at, std::size_t count, std::uint64_t value) noexcept {
  while (count-- > 0) {
    at[count] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

std::string_view TimeText::of(const timespec& time) noexcept {
  if (time.tv_sec != second_) {
    second_ = time.tv_sec;
    const Date date = date_of(time.tv_sec / 86'400);
    const auto rest = static_cast<std::uint64_t>(time.tv_sec % 86'400);
    std::memcpy(text_.data(), "0000-00-00T00:00:00.000000000Z", text_.size());
    write_digits(&text_[0], 4, static_cast<std::uint64_t>(date.year));
    write_digits(&text_[5], 2, static_cast<std::uint64_t>(date.month));
    write_digits(&text_[8], 2, static_cast<std::uint64_t>(date.day));
    write_digits(&text_[11], 2, rest / 3600);
    write_digits(&text_[14], 2, rest / 60 % 60);
    write_digits(&text_[17], 2, rest % 60);
  }
  write_digits(&text_[20], 9, static_cast<std::uint64_t>(time.tv_nsec));
  return {text_.data(), text_.size()};
}

std::size_t encode_entry(char* out, std::string_view line, std::string_view stream,
                         std::string_view time, std::string_view attributes) noexcept {
  Output to(out);
  to.add(R"({"log":")");
  std::size_t plain = 0;  // where the bytes begin that go out as they are
  for (std::size_t i = 0; i < line.size();) {
    const auto byte = static_cast<unsigned char>(line[i]);
    const Class kind = kClasses[byte];
    if (kind == Class::kPlain) {
      ++i;
      continue;
    }
    if (kind == Class::kLong) {
      if (const std::size_t length = utf8_length(line.substr(i)); length != 0) {
        i += length;
        continue;
      }
    }
    to.add(line.substr(plain, i - plain));
    if (kind == Class::kLong)
      to.add("\\ufffd");
    else
      to.escape(byte);
    plain = ++i;
  }
  to.add(line.substr(plain));
  to.add(R"(","stream":")");
  to.add(stream);
  if (attributes.empty()) {
    to.add(R"(","time":")");
  } else {
    to.add(R"(","attrs":)");
    to.add(attributes);
    to.add(R"(,"time":")");
  }
  to.add(time);
  to.add("\"}\n");
  return to.size();
}

std::optional<LogEntry> decode_entry(std::string_view line) {
  const auto document = json::parse(line);
  if (!document) return std::nullopt;
  const json::Value* const text = document->root().find("log");
  const json::Value* const stream = document->root().find("stream");
  const json::Value* const time = document->root().find("time");
  if (text == nullptr || stream == nullptr || time == nullptr) return std::nullopt;
  LogEntry entry{std::string(text->as_string()),
                 stream->as_string() == "stderr",
                 std::string(time->as_string()),
                 {}};
  if (const json::Value* const attributes = document->root().find("attrs"))
    for (const json::Member& member : attributes->members())
      entry.attributes.emplace_back(member.key, member.value.as_string());
  return entry;
}

}  // namespace bulkhead::supervise
