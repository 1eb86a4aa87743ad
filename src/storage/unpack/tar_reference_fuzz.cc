// Archives that are well-formed in what TarReader and libarchive agree about, of every kind of header:
// both must see the same entries. The input says what to write. (What is malformed is layer_fuzz's.)
#include <locale.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "storage/unpack/tar_reference_testing.h"
#include "storage/unpack/testing.h"

namespace {

using bulkhead::storage::testing::TarEntry;
using bulkhead::storage::testing::TarWriter;

class Choices {
 public:
  Choices(const unsigned char* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  unsigned byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  unsigned up_to(unsigned most) { return byte() % (most + 1); }
  bool flip() { return (byte() & 1) != 0; }
  std::string text(unsigned most) {
    std::string text;
    for (unsigned length = up_to(most); length != 0; --length)
      text += "abcdefghijklmnopqrstuvwxyz._-0123456789"[up_to(38)];
    return text;
  }
  std::string bytes(unsigned most) {
    std::string text;
    for (unsigned length = up_to(most); length != 0; --length) text += static_cast<char>(byte());
    return text;
  }

 private:
  const unsigned char* data_;
  std::size_t size_;
};

// In order and apart, with the end of the file behind them.
struct Sparse {
  std::string map;  // "offset,size" after each other
  std::vector<std::pair<std::string, std::string>> pairs;
  std::string lines;
  std::string content;
  std::size_t size = 0;
};

Sparse sparse_file(Choices& choices) {
  Sparse sparse;
  unsigned count = 1 + choices.up_to(4);
  sparse.lines = std::to_string(count) + "\n";
  for (; count != 0; --count) {
    const std::size_t offset = sparse.size + choices.up_to(200);
    const std::string part = choices.bytes(30) + "x";
    sparse.map += (sparse.map.empty() ? "" : ",") + std::to_string(offset) + "," +
                  std::to_string(part.size());
    sparse.pairs.emplace_back("GNU.sparse.offset", std::to_string(offset));
    sparse.pairs.emplace_back("GNU.sparse.numbytes", std::to_string(part.size()));
    sparse.lines += std::to_string(offset) + "\n" + std::to_string(part.size()) + "\n";
    sparse.content += part;
    sparse.size = offset + part.size();
  }
  return sparse;
}

void make_sparse(TarEntry& entry, Choices& choices) {
  entry.content.clear();
  const Sparse sparse = sparse_file(choices);
  const std::string size = std::to_string(sparse.size);
  switch (choices.up_to(2)) {
    case 0:
      entry.pax.emplace_back("GNU.sparse.size", size);
      entry.pax.emplace_back("GNU.sparse.numblocks", std::to_string(sparse.pairs.size() / 2));
      entry.pax.insert(entry.pax.end(), sparse.pairs.begin(), sparse.pairs.end());
      break;
    case 1:
      entry.pax.emplace_back("GNU.sparse.size", size);
      entry.pax.emplace_back("GNU.sparse.name", "sparse/" + choices.text(20) + "s");
      entry.pax.emplace_back("GNU.sparse.map", sparse.map);
      break;
    default:
      entry.pax.emplace_back("GNU.sparse.major", "1");
      entry.pax.emplace_back("GNU.sparse.minor", "0");
      entry.pax.emplace_back("GNU.sparse.name", "sparse/" + choices.text(20) + "s");
      entry.pax.emplace_back("GNU.sparse.realsize", size);
      entry.content = sparse.lines + std::string((512 - sparse.lines.size() % 512) % 512, '\0');
  }
  entry.content += sparse.content;
}

TarEntry next_entry(Choices& choices) {
  TarEntry entry;
  entry.type = "0123456007"[choices.up_to(9)];
  entry.name = choices.text(99) + "n";
  entry.mode = choices.byte() * 16;
  entry.uid = choices.byte() << choices.up_to(10);
  entry.gid = choices.byte();
  if (entry.type == '0' || entry.type == '7') entry.content = choices.bytes(255);
  if (entry.type == '1' || entry.type == '2') entry.link = choices.text(98) + "l";
  if (entry.type == '3' || entry.type == '4') {
    entry.major = choices.byte();
    entry.minor = choices.byte();
  }
  if (choices.flip()) entry.pax.emplace_back("path", choices.text(250) + "p");
  if (choices.flip() && !entry.link.empty())
    entry.pax.emplace_back("linkpath", choices.text(250) + "k");
  if (choices.flip())
    entry.pax.emplace_back("mtime", std::to_string(choices.byte() << choices.up_to(20)) + "." +
                                        std::to_string(choices.byte()));
  if (choices.flip()) entry.pax.emplace_back("uid", std::to_string(choices.byte() << 20));
  if (choices.flip())
    entry.pax.emplace_back("SCHILY.xattr.user." + choices.text(20) + "a", choices.bytes(40) + "v");
  if (entry.type == '0' && choices.up_to(3) == 0) {
    entry.pax.clear();
    make_sparse(entry, choices);
  }
  return entry;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage::testing;
  static const bool prepared = ::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;
  if (!prepared) std::abort();
  Choices choices(data, size);
  TarWriter writer;
  for (int count = 0; count < 20 && !choices.empty(); ++count) {
    // Long names of GNU, whose headers stand before the entry.
    if (choices.up_to(4) == 0) {
      TarEntry entry = next_entry(choices);
      entry.pax.clear();
      if (entry.type == '0' || entry.type == '7') entry.content = choices.bytes(255);
      writer.add({.name = "././@LongLink",
                  .type = 'L',
                  .content = choices.text(250) + "g" + std::string(1, '\0')});
      writer.add(entry);
    } else {
      writer.add(next_entry(choices));
    }
  }
  const std::string tar = writer.finish();
  const auto ours = seen_by_us(tar);
  const auto theirs = seen_by_libarchive(tar);
  // libarchive warns of some of these (names that are no UTF-8); whatever it takes, we take.
  if (!theirs || ours == theirs) return 0;
  std::fprintf(stderr, "%s\n", ours ? "the two differ:" : "we refuse what libarchive takes:");
  for (std::size_t i = 0; i < theirs->size(); ++i) {
    std::fprintf(stderr, "libarchive: %s\n", (*theirs)[i].c_str());
    if (ours && i < ours->size()) std::fprintf(stderr, "      ours: %s\n", (*ours)[i].c_str());
  }
  std::abort();
}
