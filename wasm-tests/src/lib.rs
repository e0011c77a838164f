//! wasm-tests
