//! wasi
