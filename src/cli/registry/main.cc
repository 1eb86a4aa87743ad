// bulkhead-registry: pull, push, login and logout. Executed by bulkhead; not meant to be called by
// hand. See program.cc.
#include "cli/registry/program.h"

int main(int count, char** words) { return bulkhead::cli::run_registry_program(count, words); }
