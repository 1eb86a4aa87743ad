// How the processes that touch hostile bytes are locked in. Unpacking a layer takes three:
//
//   decompressor   reads the compressed layer from a pipe and writes the tar to another; it has no
//                  file, no privilege, and no system call that could get it one
//   overseer       hashes what goes in and what comes out; it parses nothing of a layer, and does
//                  the few things that need a privilege (layer_acts.h)
//   extractor      reads the tar from a pipe and writes files, with the layer's directory as its
//                  root, mounted without devices, and only the capabilities that files' owners and
//                  modes need
//
// So a flaw in a decompressor or in the tar parser can neither leave the layer's directory nor make
// the store take one layer for another: the digest is computed outside of both.
#pragma once

#include "base/result.h"

namespace bulkhead::storage {

enum class WorkerKind { kDecompressor, kExtractor };

class Confinement {
 public:
  virtual ~Confinement() = default;
  // In the new process, whose descriptors are its pipes and, for the extractor, the directory that
  // it works in, which is the working directory too. Returns locked in, with a working directory that
  // is the same on a mount of its own: the old descriptor is to be closed. Or the process ends.
  virtual Result<void> enter(WorkerKind kind) = 0;
};

}  // namespace bulkhead::storage
