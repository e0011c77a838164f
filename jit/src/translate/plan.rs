//! [`Plan`]: how a function is compiled, and whether it is.
//!
//! Optimising, allocating registers well and building SSA form take time and memory that grow with products:
//! values that are alive times blocks, values times calls that pass them. What people write stays far below
//! the thresholds here. A function beyond one is compiled plainly: not optimised, registers allocated in
//! one pass, locals in the frame ([`locals`](super::locals)).
//!
//! The invariant: **no function costs more than 10 us and 4 KB for each of its units**, the bytes of its body
//! and the values that it passes ([`Survey::passed`]), and a function that passes more than
//! [`MOST_PASSED`] is refused when its module is made. (Most cost 1 us; 10 us is what optimising reaches at
//! its thresholds.) `wasm-tests/tests/proportion` holds it to that, with shapes that multiply what a guest
//! can choose.

use super::survey::Survey;
use super::webs::Webs;
use super::{FunctionInput, Result};
use crate::error::CompileError;
use crate::module::ModuleInfo;
use cranelift_codegen::ir;
use wasmparser::FunctionBody;

/// The most values that a function may pass. The largest function of Yosys passes 40,761, and no other
/// program that we have tried comes near.
const MOST_PASSED: u64 = 1 << 21;

/// How to generate the code of a function that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As well as the engine's settings say.
    Optimized,
    /// Not optimised, registers allocated in one pass.
    Plain,
}

/// What is known of a function when it is translated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Blocks in its CLIF.
    pub(super) blocks: usize,
    /// The most operands that are on the value stack at once.
    pub(super) operands: usize,
    /// Values that branches pass to blocks.
    pub(super) passed: u64,
    /// The squares of how many of them each web of values passes, together.
    pub(super) squares: u64,
}

impl Shape {
    /// Of a function that is translated.
    pub(super) fn of(func: &ir::Function, operands: usize) -> Shape {
        let Webs { passed, squares } = Webs::of(func);
        Shape { blocks: func.dfg.num_blocks(), operands, passed, squares }
    }
}

/// How a function is compiled.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Not optimised, and with its locals in the frame: those that it uses, ascending.
    pub(crate) plain: Option<Vec<u32>>,
    /// How many of the locals that it uses are references of the heap.
    pub(crate) references: u64,
    /// How long its body is, if that is known.
    bytes: u64,
}

impl Plan {
    /// For a function whose body is valid.
    ///
    /// # Errors
    ///
    /// As for [`check`].
    pub(super) fn of(input: &FunctionInput<'_>) -> Result<Plan> {
        let FunctionInput { module, func, ref body, tunables, .. } = *input;
        // Products of what so few bytes can hold are small.
        if !tunables.plain && body_len(body) < SMALL && bound(module, body) <= PASSED.always {
            return Ok(Plan::default());
        }
        let survey = Survey::of(module, func, body)?;
        refuse_if_too_much(func, &survey)?;
        let references = survey.references;
        let bytes = body_len(body);
        let plain = (tunables.plain || !is_ordinary(&survey, bytes)).then_some(survey.locals);
        Ok(Plan { plain, references, bytes })
    }

    /// How to go on with the function, now that it is translated.
    pub(super) fn effort(&self, shape: Shape) -> Effort {
        const BLOCKS: usize = 20_000;
        const OPERANDS: usize = 1_000;
        let ordinary = shape.blocks <= BLOCKS
            && shape.operands <= OPERANDS
            && PASSED_TO_BLOCKS.admits(shape.passed, self.bytes)
            && SQUARES_OF_WEBS.admits(shape.squares, self.bytes);
        if ordinary && self.plain.is_none() { Effort::Optimized } else { Effort::Plain }
    }
}

/// Bytes of a body that is hardly worth a look.
const SMALL: u64 = 512;

/// How much of something that is worse than in proportion to optimise a function may have for each byte of its
/// body, and how much any function may have.
///
/// In CPython, Yosys, nextpnr and icepack one function of 97,000 is beyond one of these, and the next
/// comes to two thirds of it.
struct Proportion {
    per_byte: u64,
    always: u64,
}

/// Values passed.
const PASSED: Proportion = Proportion { per_byte: 2, always: 4 << 10 };

/// Values that branches pass to blocks, those included that SSA form makes of locals.
const PASSED_TO_BLOCKS: Proportion = Proportion { per_byte: 4, always: 4 << 10 };

/// The squares of how many values are passed as the same variable.
const SQUARES_OF_WEBS: Proportion = Proportion { per_byte: 4 << 10, always: 1 << 24 };

/// Locals times branches.
const LOCALS_TIMES_BRANCHES: Proportion = Proportion { per_byte: 64, always: 1 << 18 };

/// Locals that are references, times branches.
const REFERENCES_TIMES_BRANCHES: Proportion = Proportion { per_byte: 32, always: 1 << 15 };

impl Proportion {
    fn admits(&self, count: u64, bytes: u64) -> bool {
        count <= self.always.max(self.per_byte * bytes)
    }
}

fn is_ordinary(survey: &Survey, bytes: u64) -> bool {
    let locals = survey.locals.len() as u64;
    PASSED.admits(survey.passed, bytes)
        && LOCALS_TIMES_BRANCHES.admits(locals * survey.branches, bytes)
        && REFERENCES_TIMES_BRANCHES.admits(survey.references * survey.branches, bytes)
}

/// Refuses a function that would take too long.
///
/// # Errors
///
/// [`CompileError::Codegen`], when it passes too many values.
pub(crate) fn check(module: &ModuleInfo, func: u32, body: &FunctionBody<'_>) -> Result {
    if bound(module, body) <= MOST_PASSED {
        return Ok(());
    }
    refuse_if_too_much(func, &Survey::of(module, func, body)?)
}

fn refuse_if_too_much(func: u32, survey: &Survey) -> Result {
    let Survey { passed, .. } = survey;
    if *passed <= MOST_PASSED {
        return Ok(());
    }
    let message = format!(
        "its calls, branches and blocks pass {passed} values, and the most is {MOST_PASSED}"
    );
    Err(CompileError::Codegen { func, message })
}

fn body_len(body: &FunctionBody<'_>) -> u64 {
    let range = body.range();
    range.end - range.start
}

/// No function with a body this long passes more than so many values.
fn bound(module: &ModuleInfo, body: &FunctionBody<'_>) -> u64 {
    let len = body_len(body);
    let most = module.types.most_values() as u64;
    // What a type lists, an operator of two bytes lists six times at most; an entry of a jump table
    // has a byte; each of half as many calls may be handled by half as many clauses.
    let handlers = if module.tags.is_empty() { 1 } else { len / 2 };
    len * (3 * most + 6) + len / 2 * handlers * 3
}
