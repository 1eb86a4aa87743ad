// bulkhead-registry as a function, so that a test can build it with something added.
#pragma once

#include <functional>

namespace bulkhead::cli {

struct RegistryProgram {
  // Runs in a fetcher or a dialer when it has been locked in. Only tests have one: it stands for a
  // flaw in a parser that somebody has got to execute what he likes.
  std::function<void(const char* verb)> payload;
  // Without it the payload must be seen to work.
  enum class Confinement { kLayers, kNone } confinement = Confinement::kLayers;
};

int run_registry_program(int count, char** words, const RegistryProgram& program = {});

}  // namespace bulkhead::cli
