// An image on its way into the store: what it consists of so far, in a staging directory of its own,
// and what of the store it relies on, which nobody may take away meanwhile.
//
//   begin()            staging/<random>, locked for as long as this process lives
//   hold_blob(), ...   "the store has it": then it stays until the image is added
//   new_layer(), ...   places for what it has not got; whole and verified before the next step
//   publish()          one syncfs, then each gets its place by a rename
//   add_image()        the record, then the names
//
// What a killed process leaves in staging/ is recognised by its lock being free, and removed by the
// next that begins, or by a collection (collect.h). Not for several threads.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/record.h"
#include "storage/reference.h"
#include "storage/store.h"
#include "storage/tree_record.h"
#include "sys/fd.h"

namespace bulkhead::storage {

// A download that may have begun before, in another process. Locked: nobody else writes to it.
struct PartialBlob {
  Fd file;                 // open for reading and writing
  std::uint64_t size = 0;  // that are there already, not verified
};

class Ingest {
 public:
  // Makes the store's directories where they are missing. The store must outlive it.
  static Result<Ingest> begin(const Store& store);
  Ingest(Ingest&& other) noexcept;
  Ingest& operator=(Ingest&&) = delete;
  // Removes the staging directory, and gives up what was held and claimed.
  ~Ingest();

  // Whether the store has it. Either way it stays, or will stay once it is there, until this ends.
  Result<bool> hold_blob(std::string_view hex);
  Result<bool> hold_layer(std::string_view diff_id);

  // The right to make a layer, so that no two processes do the same work. kWait waits for whoever has
  // it (do not wait while holding others); the layer may well be there afterwards. False with kTry:
  // somebody else is at it.
  enum class Patience { kTry, kWait };
  Result<bool> claim_layer(std::string_view diff_id, Patience patience);
  void release_claims();

  // Empty; open for reading and writing. Verified by the caller before publish().
  Result<Fd> new_blob(std::string_view hex);
  // blobs/partial/<hex>, which becomes the blob in publish() and stays for another attempt if that is
  // not reached. kState when another process is downloading it.
  Result<PartialBlob> open_partial_blob(std::string_view hex);
  // The bytes turned out not to be the blob's: the partial blob goes, and is not published.
  Result<void> discard_partial_blob(std::string_view hex);
  // A small document whose digest the caller has computed.
  Result<void> add_blob(std::string_view hex, std::string_view content);
  // A file that is not yet a blob, because its digest is not known before it is whole: `name` is any
  // file name. keep_file() then makes it the blob.
  Result<Fd> new_file(const std::string& name);
  Result<void> keep_file(const std::string& name, std::string_view hex);

  // An empty directory (mode 0755).
  Result<Fd> new_layer(std::string_view diff_id);
  // The same under any name, for a layer whose diff id is not known before it is unpacked.
  Result<Fd> new_directory(const std::string& name);
  Result<void> keep_directory(const std::string& name, std::string_view diff_id);
  // After it has been unpacked.
  Result<void> describe_layer(std::string_view diff_id, const TreeRecord& tree);
  Result<void> discard_layer(std::string_view diff_id);

  // Everything new since the last call gets its place.
  Result<void> publish();
  // The image is in the store when this returns, under these names, which it takes from others that had
  // them. All of its blobs and layers are held or published.
  Result<void> add_image(const ImageRecord& record, std::span<const Reference> names);
  // The record of an image by its path (record.key is not empty): no name, no blobs of layers.
  Result<void> add_source(const ImageRecord& record);

 private:
  explicit Ingest(const Store& store) : store_(&store) {}
  Result<void> note(std::string_view kind, std::string_view hex);
  Result<bool> hold(std::string_view kind, std::string_view hex, const std::string& path);
  Result<void> write_record(const std::string& path, std::string_view content);
  Result<void> move_into_place(const std::string& from, const std::string& to);

  const Store* store_;
  std::string path_;  // staging/<random>; empty: moved from
  Fd directory_;      // locked
  Fd notes_;          // what is held
  std::set<std::string, std::less<>> new_blobs_;
  std::set<std::string, std::less<>> new_layers_;
  std::map<std::string, Fd, std::less<>> partial_;
  std::map<std::string, Fd, std::less<>> claims_;
};

// What ingests in progress hold, for a collection: digests as hex. Those whose process is gone are
// left out, and their directories listed.
struct HeldByIngests {
  std::set<std::string, std::less<>> blobs;  // manifests among them
  std::set<std::string, std::less<>> layers;
  std::vector<std::string> abandoned;  // "staging/<random>"
};
Result<HeldByIngests> read_held(int store);

}  // namespace bulkhead::storage
