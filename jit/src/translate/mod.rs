//! From a validated function body to CLIF.
//!
//! One pass over the operators, no recursion: a value stack of CLIF values and a control stack of
//! [`control::Frame`]s mirror the specification's. Wasm locals become frontend variables, from which
//! the frontend builds SSA form.
//!
//! | file | what |
//! |---|---|
//! | `function` | [`function::FuncTranslator`]: prologue, the loop over the operators, epilogue |
//! | `dispatch` | which family each operator belongs to; the table from operators to methods is in the family's file |
//! | `stack`, `control`, `branch` | values, blocks and merges, unreachable code, branches |
//! | `locals`, `variable`, `numeric`, `wide`, `convert` | locals, globals, arithmetic, conversions |
//! | `memory`, `bounds`, `bulk`, `table`, `reference`, `call` | what works on the instance |
//! | `exception`, `legacy` | throwing, and the clauses that catch |
//! | `gc` | objects of the heap |
//! | `env`, `alias` | loads from the context; which accesses of memory never meet, and their flags |
//! | `builtins` | calls of the runtime's functions |
//! | `traps` | checks and traps, by signals or without |
//! | `epoch` | checks that interrupt runaway code |
//! | `plan` | what keeps time and memory in proportion to the body: what is compiled plainly, what is refused |
//! | `survey`, `webs` | what `plan` counts before the translation and after it |
//! | `limits`, `lives` | what is limited during it, and after it where a function is compiled plainly |
//!
//! Invariants:
//! * The body has been validated: what validation rules out is an internal error here.
//! * Every method that translates an operator returns [`Result`], those that cannot fail too: the tables of operators are
//!   uniform.
//! * Nothing a guest may write costs more than it is long, apart from what `plan`, `limits` and `lives` cap.
//! * Vectors are `i8x16` wherever two paths can meet: block parameters, locals, globals, arguments
//!   and results. Between operators they keep the type that the last operator gave them.

#![deny(unsafe_code)]

mod alias;
mod atomic;
mod bounds;
mod branch;
mod builtins;
mod bulk;
mod call;
mod control;
mod convert;
mod copy;
mod dispatch;
mod env;
mod epoch;
mod exception;
mod function;
mod gc;
mod legacy;
mod limits;
mod lives;
mod locals;
mod memory;
mod numeric;
mod plan;
mod reference;

mod rounding;
mod segment;
mod simd;
mod stack;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod traps;
mod variable;
mod webs;
mod wide;

use crate::error::CompileError;
use crate::module::ModuleInfo;
use crate::tunables::Tunables;
use crate::vm::VMOffsets;
use cranelift_codegen::ir;
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilderContext;

pub(crate) use plan::{Effort, check};

type Result<T = (), E = CompileError> = std::result::Result<T, E>;

/// One function to translate, and what it refers to.
pub(crate) struct FunctionInput<'a> {
    /// The module it belongs to.
    pub(crate) module: &'a ModuleInfo,
    /// Where things lie in that module's contexts.
    pub(crate) offsets: &'a VMOffsets,
    /// Choices that change the code.
    pub(crate) tunables: &'a Tunables,
    /// The target: what it prescribes, and what its instructions can do.
    pub(crate) isa: &'a dyn TargetIsa,
    /// Its index in the module, imports included.
    pub(crate) func: u32,
    /// Its validated body.
    pub(crate) body: wasmparser::FunctionBody<'a>,
}

/// Fills `func`, which the caller has cleared, with the CLIF of a function: its name
/// (`UserFuncName::user(0, index)`), its signature and its body. Tells how to go on from there.
///
/// After an error `func` holds a part of the function; clear it before its next use.
///
/// # Errors
///
/// [`CompileError::Unsupported`] for an operator that this engine does not provide, and
/// [`CompileError::Codegen`] for a function beyond the limits of [`limits`].
pub(crate) fn translate(
    input: FunctionInput<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut ir::Function,
) -> Result<Effort> {
    function::translate(input, context, func)
}
