// What a process of copy_worker.h does when it is asked: beneath its root directory, by descriptor.
#pragma once

#include <utility>

#include "base/result.h"
#include "engine/copy_protocol.h"

namespace bulkhead::engine {

class CopyService {
 public:
  CopyService(int data, storage::Progress progress) : data_(data), progress_(std::move(progress)) {}
  // Until nobody can ask any more.
  void serve(int socket);
  CopyAnswer carry_out(const CopyRequest& request);

 private:
  Result<CopyAnswer> status(const CopyRequest& request) const;
  Result<CopyAnswer> pack(const CopyRequest& request);
  Result<CopyAnswer> unpack(const CopyRequest& request);

  int data_;
  storage::Progress progress_;
};

CopyAnswer answer_of(const Error& error);

}  // namespace bulkhead::engine
