# `just check` runs the checks of CI, with a shorter stress test; CI also fetches the programs that some
# tests run.

# Everything that must hold
check: fmt clippy doc test benches

# The source is formatted
fmt:
    cargo fmt --all --check

# No lint complains
clippy:
    cargo clippy --workspace --exclude seqfault-benches --exclude seqfault-fuzz --all-targets -- -D warnings

# The documentation builds without a warning
doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps

# All tests; the stress of the address space runs for SEQFAULT_STRESS_SECS a case, 3 unless told, that of shared memories for
# as long in all, 10 unless told; each litmus test is run SEQFAULT_LITMUS_RUNS times, a million unless told; SEQFAULT_PATHS=all tries WASI's
# calls on all shapes of paths, SEQFAULT_SOAK_SECS=3600 lets short instances live and die for an hour, 10 seconds unless told, and SEQFAULT_PROPORTION=all compiles what attacks a compiler in all sizes, and not a part of them that is drawn
test:
    cargo test
    cargo test -p seqfault-mm --no-default-features

# What compares with other engines compiles
benches:
    cargo check -p seqfault-benches --benches
    cargo clippy -p seqfault-fuzz --all-targets -- -D warnings

# Fetch CPython, Yosys and a C compiler for the tests of real programs
programs:
    examples/programs.sh

# Something to watch
demo:
    cargo run --release -- run examples/mandelbrot.wat

# The specification's suites, or those whose names contain FILTER
spec FILTER="":
    cargo test -p seqfault-wasm-tests --test spec -- {{FILTER}}

# Draw N mutants of a FOLDER's source and list in mutants.out which of them the tests of its package do not notice; TESTS
# choose among the tests
mutants FOLDER N="200" SEED="1" *TESTS:
    .ci/mutants {{FOLDER}} {{N}} {{SEED}} {{TESTS}}
