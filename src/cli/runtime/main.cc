// bulkhead-runtime: an OCI runtime.
#include "cli/runtime/program.h"

int main(int count, char** values) { return bulkhead::cli::run_runtime(count, values); }
