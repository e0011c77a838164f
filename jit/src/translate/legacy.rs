//! The legacy form of exceptions: `try` with `catch`, `catch_all` or `delegate`, and `rethrow`.
//!
//! They become clauses like those of a `try_table`, with landing pads that begin a `catch`'s own code
//! instead of branching. A clause must be known before the calls that it is for, but stands behind
//! them; so at its first `try` the body of a function is read once before ([`Outline`]).

use super::Result;
use super::builtins::Bits64;
use super::control::FrameKind;
use super::dispatch::{Control, Family, read_operator};
use super::exception::{Clause, Way};
use super::function::{FuncTranslator, read_error};
use cranelift_codegen::ir::{InstBuilder, types};
use wasmparser::{BlockType, FunctionBody};

/// What is behind each `try` of a function, in the order of the `try`s.
#[derive(Debug, Default)]
pub(super) struct Outline {
    tries: Vec<Try>,
    /// How many of them have been met.
    met: usize,
}

#[derive(Debug, Default)]
pub(super) struct Try {
    catches: Vec<Catch>,
    /// The label that a `delegate` names; it counts from the frame around.
    delegate: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Catch {
    /// None for `catch_all`.
    tag: Option<u32>,
    /// Whether a `rethrow` wants the exception.
    rethrown: bool,
}

impl Outline {
    /// Reads a body.
    pub(super) fn of(body: &FunctionBody<'_>) -> Result<Outline> {
        let mut outline = Outline::default();
        // For each block that is open, its `try`, if it is one.
        let mut open: Vec<Option<usize>> = vec![None];
        let mut reader = body.get_operators_reader().map_err(read_error)?;
        while !reader.eof() {
            let Family::Control(operator) = read_operator(&mut reader)? else {
                continue;
            };
            match operator {
                Control::Block { .. }
                | Control::Loop { .. }
                | Control::If { .. }
                | Control::TryTable { .. } => open.push(None),
                Control::Try { .. } => {
                    open.push(Some(outline.tries.len()));
                    outline.tries.push(Try::default());
                }
                Control::Catch { tag_index } => outline.catch(&open, Some(tag_index)),
                Control::CatchAll => outline.catch(&open, None),
                Control::Rethrow { relative_depth } => {
                    let place = open.len() - 1 - relative_depth as usize;
                    let catch = outline.of_frame(&open[..=place]).catches.last_mut();
                    catch.expect("validation admits `rethrow` in a `catch` only").rethrown = true;
                }
                Control::Delegate { relative_depth } => {
                    outline.of_frame(&open).delegate = Some(relative_depth);
                    open.pop();
                }
                Control::End => {
                    open.pop();
                }
                Control::Else
                | Control::Br { .. }
                | Control::BrIf { .. }
                | Control::BrTable { .. }
                | Control::BrOnNull { .. }
                | Control::BrOnNonNull { .. }
                | Control::BrOnCast { .. }
                | Control::BrOnCastFail { .. }
                | Control::Return
                | Control::Throw { .. }
                | Control::ThrowRef
                | Control::Unreachable
                | Control::Nop => {}
            }
        }
        Ok(outline)
    }

    fn catch(&mut self, open: &[Option<usize>], tag: Option<u32>) {
        self.of_frame(open).catches.push(Catch { tag, rethrown: false });
    }

    /// The `try` that is the innermost of these frames.
    fn of_frame(&mut self, open: &[Option<usize>]) -> &mut Try {
        let innermost = open.last().copied().flatten();
        &mut self.tries[innermost.expect("validation pairs these with a `try`")]
    }
}

impl FuncTranslator<'_, '_> {
    /// What stands behind the `try` that has been reached, also by unreachable code. They are reached in the order of
    /// the body.
    pub(super) fn meet_try(&mut self) -> Result<Try> {
        let outline = match &mut self.outline {
            Some(outline) => outline,
            None => self.outline.insert(Outline::of(&self.body)?),
        };
        outline.met += 1;
        Ok(std::mem::take(&mut outline.tries[outline.met - 1]))
    }

    pub(super) fn try_(&mut self, ty: BlockType) -> Result {
        let Try { catches, delegate } = self.meet_try()?;
        let around = self.clauses.len();
        for Catch { tag, rethrown } in catches.into_iter().rev() {
            self.clauses.push(Clause { tag, by_reference: rethrown, way: Way::Inline, pad: None });
        }
        if let Some(label) = delegate {
            let frame = self.frames.len() - 1 - label as usize;
            let mut around = self.clauses_in(frame);
            // Where a `delegate` leads to another, both lead where that one does: calls need not go from one to the next.
            if let Some(Clause { way: Way::Delegate { around: beyond }, .. }) =
                around.checked_sub(1).map(|last| &self.clauses[last])
            {
                around = *beyond;
            }
            self.clauses.push(Clause {
                tag: None,
                by_reference: false,
                way: Way::Delegate { around },
                pad: None,
            });
        }
        self.open_block(ty, FrameKind::Try { around })
    }

    /// `catch` or `catch_all`: the clauses come in the order of their `catch`es.
    pub(super) fn catch(&mut self) -> Result {
        let innermost = self.frames.len() - 1;
        if self.dead.is_none() {
            self.jump_to_exit(innermost)?;
        }
        let clause = self.next_catch(innermost);
        let Some(pad) = clause.pad else {
            self.dead = Some(0);
            return Ok(());
        };
        let exception = self.enter_pad(&clause, pad);
        self.set_caught(innermost, exception);
        Ok(())
    }

    pub(super) fn rethrow(&mut self, depth: u32) -> Result {
        let exception = self.caught(self.frames.len() - 1 - depth as usize);
        let exception = self.builder.ins().uextend(types::I64, exception);
        self.throwing_builtin().throw_ref(Bits64(exception))
    }
}
