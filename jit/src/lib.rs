//! WebAssembly to machine code.

mod abi;
mod error;
mod module;
mod translate;
mod trap;
mod tunables;
mod types;
pub mod vm;

pub use error::CompileError;
pub use trap::TrapCode;
pub use tunables::{OptLevel, Tunables};
