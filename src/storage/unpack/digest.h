// SHA-256, as OpenSSL computes it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace bulkhead::storage {

class Sha256 {
 public:
  Sha256();
  void update(const void* data, std::size_t size);
  // 64 lower-case hexadecimal digits; ends the computation.
  std::string hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
  bool failed_ = false;
};

}  // namespace bulkhead::storage
