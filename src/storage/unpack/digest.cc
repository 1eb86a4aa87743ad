#include "storage/unpack/digest.h"

#include <openssl/evp.h>

namespace bulkhead::storage {
namespace {

EVP_MD_CTX* context_of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

void Sha256::Free::operator()(void* context) const { ::EVP_MD_CTX_free(context_of(context)); }

Sha256::Sha256() : context_(::EVP_MD_CTX_new()) {
  failed_ =
      !context_ || ::EVP_DigestInit_ex(context_of(context_.get()), ::EVP_sha256(), nullptr) != 1;
}

void Sha256::update(const void* data, std::size_t size) {
  if (!failed_) failed_ = ::EVP_DigestUpdate(context_of(context_.get()), data, size) != 1;
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  // An empty text equals no digest: a failure here can only refuse.
  if (failed_ || ::EVP_DigestFinal_ex(context_of(context_.get()), digest, &size) != 1) return {};
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

}  // namespace bulkhead::storage
