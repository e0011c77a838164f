// The kernel `memory`, with 64-bit addresses: `build.sh` compiles it for wasm64.
#include "memory.c"
