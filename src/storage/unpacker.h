// Executes bulkhead-unpack, the program that alone reads archives and hashes blobs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::storage {

struct UnpackerCall {
  std::string program;             // empty: the one that came with Bulkhead
  std::vector<std::string> words;  // after its name
  int input = -1;                  // its standard input; -1: none
  int output = -1;                 // its standard output; -1: it is returned
  int progress = -1;               // a terminal that it may show its progress on, as descriptor 3
  int directory = -1;              // that it writes into, as descriptor 4
  std::string context;             // begins the error
};

struct UnpackerAnswer {
  std::string output;
  std::vector<std::string> notes;  // what the user should know
};

// Waits for its end. Nothing of the caller's environment reaches it.
Result<UnpackerAnswer> run_unpacker(const UnpackerCall& call);

}  // namespace bulkhead::storage
