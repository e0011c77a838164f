#!/bin/sh
# Builds every kernel beside its source. The results are committed, so this is only needed after a change of a kernel.
# Needs a C compiler for WebAssembly: `pip install ziglang==0.17`.
set -eu
cd "$(dirname "$0")"
for source in *.c; do
    case "$source" in
        *64.c) target=wasm64-freestanding ;;
        *) target=wasm32-freestanding ;;
    esac
    python3 -m ziglang cc -target "$target" -O2 -Wall -Wextra -Werror -nostdlib -s \
        -Wl,--no-entry -o "${source%.c}.wasm" "$source"
done
ls -l ./*.wasm
