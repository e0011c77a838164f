//! WebAssembly to machine code.

mod abi;
mod error;
pub mod module;
mod translate;
mod trap;
mod tunables;
pub mod types;
pub mod vm;

pub use error::CompileError;
pub use trap::TrapCode;
pub use tunables::{OptLevel, Tunables};
pub use wasmparser::WasmFeatures;
