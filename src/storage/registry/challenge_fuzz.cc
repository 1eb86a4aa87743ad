// What a hostile registry writes into WWW-Authenticate: nothing that is taken out of it can end a
// header's line, and a Bearer always has somebody to ask.
#include <cstdlib>
#include <string>

#include "storage/registry/challenge.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead::storage;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto challenges = parse_challenges(text);
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == Challenge::Scheme::kBearer && challenge.realm.empty()) std::abort();
    for (const std::string* part :
         {&challenge.realm, &challenge.service, &challenge.scope, &challenge.error})
      for (const char c : *part)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E)
          std::abort();
  }
  if (choose_challenge(challenges).has_value() == challenges.empty()) std::abort();
  return 0;
}
