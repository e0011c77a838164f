//! Compiles WebAssembly to machine code.

mod abi;
mod ahead;
mod arch;
pub mod code;
mod compile;
mod error;
mod feature;
pub mod gc;
pub mod message;
pub mod module;
pub mod process;
mod trampoline;
mod translate;
mod trap;
mod tunables;
pub mod types;
pub mod vm;

pub use compile::{CompileScratch, CompiledFunction, Compiler, ModuleSource};
pub use error::CompileError;
pub use feature::{Feature, UnknownFeature, WasmVersion, default_flags, version_flags};
pub use trap::TrapCode;
pub use tunables::{OptLevel, Tunables};
pub use wasmparser::WasmFeatures;
