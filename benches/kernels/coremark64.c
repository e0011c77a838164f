// The kernel `coremark`, with 64-bit addresses: `build.sh` compiles it for wasm64.
#include "coremark.c"
