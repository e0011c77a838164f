//! seqfault: a WebAssembly runtime whose linear memories are faulted in speculatively.
//!
//! ```
//! use seqfault::{Engine, Linker, Module, Store};
//!
//! fn main() -> seqfault::Result<()> {
//!     let engine = Engine::default();
//!     let module = Module::new(&engine, r#"
//!         (module
//!           (import "host" "double" (func $double (param i32) (result i32)))
//!           (func (export "run") (param i32) (result i32)
//!             (call $double (i32.add (local.get 0) (i32.const 1)))))
//!     "#)?;
//!     let mut linker = Linker::new(&engine);
//!     linker.func_wrap("host", "double", |x: i32| x * 2)?;
//!     let mut store = Store::new(&engine, ());
//!     let instance = linker.instantiate(&mut store, &module)?;
//!     let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
//!     assert_eq!(run.call(&mut store, 20)?, 42);
//!     Ok(())
//! }
//! ```
//!
//! The API has the names and the structure of other runtimes': an [`Engine`] compiles [`Module`]s,
//! a [`Store`] holds [`Instance`]s and their parts, a [`Linker`] finds imports by name. The
//! differences: memory is never available as a slice ([`Memory`]), functions are compiled when they
//! are first called ([`Compilation`]), and growing a memory makes no system call.
//!
//! When the system has no memory for something whose size or number a guest chooses, it is refused:
//! the instantiation or the call returns an error, the guest traps, or the growth fails. Values of
//! a small fixed size are allocated as everywhere in Rust, and so are the data of the parser and
//! the code generator: if that memory is missing, the process ends.

mod config;
mod engine;
mod entities;
mod error;
mod exception;
mod fallible;
mod func;
mod gc;
mod instance;
mod interrupt;
mod linker;
mod module;
mod store;
mod trap;
mod types;
mod vm;

pub use config::{Compilation, Config, ResidentBudget, Reuse};
pub use engine::{AddressSpace, Engine, Scarcity};
pub use entities::{Global, Memory, MemoryAccessError, SharedMemory, Table, Tag, Val, WaitResult};
pub use error::{Error, Result};
pub use exception::ThrownException;
pub use func::{Caller, Func, IntoFunc, TypedFunc, WasmParams, WasmResults, WasmRet, WasmTy};
pub use gc::{
    AnyRef, ArrayRef, ArrayRefPre, EqRef, ExnRef, ExternRef, GcRef, I31, OwnedRooted, RootScope,
    Rooted, StructRef, StructRefPre,
};
pub use instance::{Export, Extern, Instance, InstancePre, LinkError};
pub use interrupt::InterruptHandle;
pub use linker::Linker;
pub use module::Module;
pub use seqfault_jit::{CompileError, Feature, OptLevel, UnknownFeature, WasmVersion, message};
pub use seqfault_mm::{Access, DisplacedHandlers, PagerKind};
pub use store::{
    AsContext, AsContextMut, RefusedByLimiter, ResourceLimiter, Store, StoreContext,
    StoreContextMut, StoreLimits, StoreLimitsBuilder, UpdateDeadline,
};
pub use trap::{FrameInfo, MemoryFault, Trap, TrapCode};
pub use types::{
    ArrayType, ExportType, ExternType, FieldType, Finality, FuncType, GlobalType, HeapType,
    ImportType, InvalidMemoryType, MemoryType, MemoryTypeBuilder, Mutability, RefType, StorageType,
    StructType, TableType, TagType, ValType, WASM_PAGE_SIZE,
};
