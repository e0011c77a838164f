//! [`Plan`]: how a function is compiled, and whether it is.
//!
//! Optimising, allocating registers well and building SSA form take time and memory that grow with products:
//! values that are alive times blocks, values times calls that pass them. What people write stays far below
//! the thresholds here. A function beyond one is compiled plainly: not optimised, registers allocated in
//! one pass, locals in the frame ([`locals`](super::locals)).
//!
//! The invariant: **no function costs more than 10 us and 4 KB for each of its units**, the bytes of its body
//! and the values that it passes ([`Survey::passed`]), or twice as much where checks are branches. A function that
//! passes more than [`MOST_PASSED`], or branches more than [`MOST_BRANCHES`] times, is refused when its module is made;
//! one that keeps too many operands or references alive ([`lives`](super::lives), [`limits`](super::limits)), when it is
//! compiled. `wasm-tests/tests/proportion` holds it to that, with shapes that multiply what a guest can choose.
//!
//! Measured on 2026-11-25, on two processors that had nothing else to do, by
//! `SEQFAULT_PROPORTION=all cargo test --release -p seqfault-wasm-tests --test proportion -- --nocapture`: half of 255
//! shapes take less than 0.9 us a unit and 95 of 100 less than 5.5 us. The worst with signals are calls through tables
//! (7.5 us, 2.7 KB), and without them elements of arrays, of which each is checked twice (16 us, 5.4 KB).

use super::function::read_error;
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

/// The most operators of the control flow that a function may have, as [`Survey::branches`] counts them: four for an `if`.
/// Each takes half a KB or more, so that this is what bounds the memory that a function takes, at about 1 GB. The largest
/// function of Yosys has some 10,000.
const MOST_BRANCHES: u64 = 1 << 20;

/// How to generate the code of a function that is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As well as the engine's settings say.
    Optimized,
    /// Not optimised, registers allocated in one pass.
    Plain,
}

/// What is known of a function when it is translated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// Blocks in its CLIF.
    pub(super) blocks: usize,
    /// How many of them there are for checks.
    pub(super) check_blocks: usize,
    /// Instructions in its CLIF.
    pub(super) insts: usize,
    /// The most operands that are on the value stack at once.
    pub(super) operands: usize,
    /// Values that branches pass to blocks.
    pub(super) passed: u64,
    /// The squares of how many of them each web of values passes, together.
    pub(super) squares: u64,
}

impl Shape {
    /// Of a function that is translated; without its checks.
    pub(super) fn of(func: &ir::Function, operands: usize) -> Shape {
        let Webs { passed, squares } = Webs::of(func);
        let dfg = &func.dfg;
        Shape {
            blocks: dfg.num_blocks(),
            check_blocks: 0,
            insts: dfg.num_insts(),
            operands,
            passed,
            squares,
        }
    }
}

/// How a function is compiled.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Whether plainly: not optimised, and with its locals in the frame.
    pub(crate) plain: bool,
    /// The locals that it uses, ascending; none if all are to be declared.
    pub(crate) locals: Option<Vec<u32>>,
    /// How many of the locals that it uses are references of the heap.
    pub(crate) references: u64,
    /// How long its body is.
    pub(super) bytes: u64,
}

impl Plan {
    /// For a function whose body is valid.
    ///
    /// # Errors
    ///
    /// As for [`check`].
    pub(super) fn of(input: &FunctionInput<'_>) -> Result<Plan> {
        let FunctionInput { module, func, ref body, tunables, .. } = *input;
        let bytes = body_len(body);
        let sparse = declared_locals(body)? > SMALL.max(bytes);
        // Products of what so few bytes can hold are small.
        let small = bytes < SMALL && bound(module, body) <= PASSED.always;
        if small && !sparse && !tunables.plain {
            return Ok(Plan { bytes, ..Plan::default() });
        }
        let survey = Survey::of(module, func, body)?;
        refuse_if_too_much(func, &survey)?;
        let plain = tunables.plain || !is_ordinary(&survey, bytes);
        Ok(Plan::new(survey, bytes, plain, sparse))
    }

    /// Plainly, for a function that would take too long otherwise.
    ///
    /// # Errors
    ///
    /// As for [`check`].
    pub(super) fn plain(input: &FunctionInput<'_>) -> Result<Plan> {
        let survey = Survey::of(input.module, input.func, &input.body)?;
        Ok(Plan::new(survey, body_len(&input.body), true, true))
    }

    fn new(survey: Survey, bytes: u64, plain: bool, sparse: bool) -> Plan {
        let Survey { references, locals, .. } = survey;
        Plan { plain, locals: (plain || sparse).then_some(locals), references, bytes }
    }

    /// Whether the function may be optimised, now that it is translated.
    pub(super) fn admits(&self, shape: Shape) -> bool {
        const BLOCKS: usize = 20_000;
        const OPERANDS: usize = 500;
        shape.blocks <= BLOCKS
            && shape.operands <= OPERANDS
            && FOUR_TIMES_BLOCKS.admits(4 * (shape.blocks - shape.check_blocks) as u64, self.bytes)
            && TWICE_ALL_BLOCKS.admits(2 * shape.blocks as u64, self.bytes)
            && INSTRUCTIONS.admits(shape.insts as u64, self.bytes)
            && PASSED_TO_BLOCKS.admits(shape.passed, self.bytes)
            && SQUARES_OF_WEBS.admits(shape.squares, self.bytes)
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

/// Four times the blocks that are not for checks: a `call_indirect` of three bytes has two. In the programs above a
/// function has one for each 7 bytes at most.
const FOUR_TIMES_BLOCKS: Proportion = Proportion { per_byte: 1, always: 512 };

/// Twice all blocks, where each check of an access or a division makes two. CPython has one for each 2 bytes at most.
const TWICE_ALL_BLOCKS: Proportion = Proportion { per_byte: 1, always: 1024 };

/// Instructions in its CLIF: a `call_indirect` of three bytes becomes 25. In the programs above no function has more than
/// 1.2 for each byte with signals, and 3.7 without.
const INSTRUCTIONS: Proportion = Proportion { per_byte: 4, always: 1 << 10 };

/// Values that branches pass to blocks, those included that SSA form makes of locals.
const PASSED_TO_BLOCKS: Proportion = Proportion { per_byte: 4, always: 4 << 10 };

/// The squares of how many values are passed as the same variable.
const SQUARES_OF_WEBS: Proportion = Proportion { per_byte: 4 << 10, always: 1 << 24 };

/// Locals times branches.
const LOCALS_TIMES_BRANCHES: Proportion = Proportion { per_byte: 64, always: 1 << 18 };

/// Locals times bytes. The allocator compares each value with all that are alive with it, so that long lives of many
/// locals are a product even where nothing branches.
const LOCALS_TIMES_BYTES: Proportion = Proportion { per_byte: 500, always: 1 << 22 };

/// How deeply loops may be nested: where a loop changes no local, what it reads is found through all loops around.
const NESTED_LOOPS: u64 = 500;

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
        && survey.nested_loops <= NESTED_LOOPS
        && LOCALS_TIMES_BYTES.admits(locals * bytes, bytes)
        && LOCALS_TIMES_BRANCHES.admits(locals * survey.branches, bytes)
        && REFERENCES_TIMES_BRANCHES.admits(survey.references * survey.branches, bytes)
}

/// Refuses a function that would take too long, or too much memory.
///
/// # Errors
///
/// [`CompileError::Codegen`], when it passes too many values or branches too often.
pub(crate) fn check(module: &ModuleInfo, func: u32, body: &FunctionBody<'_>) -> Result {
    // An `if` and its `end` count four times, and have three bytes.
    if bound(module, body) <= MOST_PASSED && 2 * body_len(body) <= MOST_BRANCHES {
        return Ok(());
    }
    refuse_if_too_much(func, &Survey::of(module, func, body)?)
}

fn refuse_if_too_much(func: u32, survey: &Survey) -> Result {
    let Survey { passed, branches, .. } = survey;
    let message = if *passed > MOST_PASSED {
        format!(
            "its calls, branches and blocks pass {passed} values, and the most is {MOST_PASSED}"
        )
    } else if *branches > MOST_BRANCHES {
        format!("its control flow branches {branches} times, and the most is {MOST_BRANCHES}")
    } else {
        return Ok(());
    };
    Err(CompileError::Codegen { func, message })
}

/// How many locals a body declares: a few bytes can declare 50,000.
fn declared_locals(body: &FunctionBody<'_>) -> Result<u64> {
    let mut declared = 0;
    for declaration in body.get_locals_reader().map_err(read_error)? {
        declared += u64::from(declaration.map_err(read_error)?.0);
    }
    Ok(declared)
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
