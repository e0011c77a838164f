//! [`Survey`]: what drives the cost of a function, counted before any of it is translated.
//!
//! Two bytes of a body can stand for a thousand values that a call passes, and each call of many can have
//! thousands of handlers around it: such products are what a compilation costs. They are counted in one
//! pass over the body, in the worst case for each operator.

use super::Result;
use super::control::block_signature;
use super::dispatch::{Call, Control, Family, Object, Variable, read_operator};
use super::function::read_error;
use super::locals::LocalTypes;
use crate::module::ModuleInfo;
use crate::types::CompositeType;
use wasmparser::{BlockType, BrTable, Catch, FunctionBody, TryTable};

/// What there is in a function.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Values that calls, branches, merges and constructors list, handlers of calls, and entries of
    /// jump tables.
    pub(crate) passed: u64,
    /// Operators that begin or end a block of the control flow.
    pub(crate) branches: u64,
    /// How deeply loops are nested.
    pub(crate) nested_loops: u64,
    /// The locals that are read or written, ascending.
    pub(crate) locals: Vec<u32>,
    /// How many of those are references of the heap.
    pub(crate) references: u64,
}

/// A block, loop, if or try that is open.
struct Frame {
    params: u64,
    results: u64,
    is_loop: bool,
    /// How many exceptions a `try_table` catches.
    catches: u64,
    /// Whether one of them is any exception.
    catches_all: bool,
    /// How many calls there were before it was opened.
    calls_before: u64,
    /// How many calls a `try` has before its first `catch`.
    calls: Option<u64>,
}

/// The state of one survey.
struct Surveyor<'a> {
    module: &'a ModuleInfo,
    survey: Survey,
    touched: Vec<bool>,
    frames: Vec<Frame>,
    /// Calls so far, also those that throw.
    calls: u64,
    /// How many of the frames are loops.
    loops: u64,
}

impl Survey {
    /// Reads a body, which must be valid.
    pub(crate) fn of(module: &ModuleInfo, func: u32, body: &FunctionBody<'_>) -> Result<Survey> {
        let ty = module.func_type(func);
        let mut surveyor = Surveyor {
            module,
            survey: Survey::default(),
            touched: Vec::new(),
            frames: Vec::new(),
            calls: 0,
            loops: 0,
        };
        surveyor.open(0, ty.results().len() as u64, false);
        let mut reader = body.get_operators_reader().map_err(read_error)?;
        while !reader.eof() {
            surveyor.operator(read_operator(&mut reader)?)?;
        }
        let Surveyor { mut survey, touched, .. } = surveyor;
        let touched = touched.iter().enumerate().filter(|(_, touched)| **touched);
        survey.locals = touched.map(|(local, _)| local as u32).collect();
        let types = LocalTypes::of(module, ty, body)?;
        let types = survey.locals.iter().map(|&local| types.get(local));
        survey.references = types.filter(|ty| ty.is_gc()).count() as u64;
        Ok(survey)
    }
}

impl Surveyor<'_> {
    fn operator(&mut self, operator: Family<'_>) -> Result {
        match operator {
            Family::Control(operator) => self.control_operator(operator)?,
            Family::Call(operator) => self.call_operator(operator),
            Family::Variable(operator) => self.variable_operator(operator),
            Family::Object(operator) => self.object_operator(operator),
            // They take and leave a handful of operands each.
            Family::Memory(_)
            | Family::Numeric(_)
            | Family::Conversion(_)
            | Family::Wide(_)
            | Family::Reference(_)
            | Family::Table(_)
            | Family::Vector(_)
            | Family::Atomic(_)
            | Family::Refused(_) => {}
        }
        Ok(())
    }

    fn control_operator(&mut self, operator: Control<'_>) -> Result {
        match operator {
            Control::Block { blockty } => self.open_block(blockty, false)?,
            Control::Loop { blockty } => self.open_block(blockty, true)?,
            Control::If { blockty } | Control::Try { blockty } => {
                self.open_block(blockty, false)?;
                self.survey.branches += 2;
            }
            Control::TryTable { ref try_table } => self.try_table(try_table)?,
            Control::Else => self.pass_results(),
            Control::Catch { tag_index } => {
                self.survey.passed += self.tag_arity(tag_index);
                self.catch();
            }
            Control::CatchAll => {
                self.catch();
                // What is around never sees their exceptions.
                self.calls -= self.innermost().calls.unwrap_or(0);
            }
            Control::End | Control::Delegate { .. } => self.end(),
            Control::Br { relative_depth }
            | Control::BrIf { relative_depth }
            | Control::BrOnNull { relative_depth }
            | Control::BrOnNonNull { relative_depth }
            | Control::BrOnCast { relative_depth, .. }
            | Control::BrOnCastFail { relative_depth, .. } => {
                self.survey.branches += 1;
                self.survey.passed += self.label_arity(relative_depth);
            }
            Control::BrTable { ref targets } => self.br_table(targets)?,
            Control::Return => self.survey.passed += self.frames[0].results,
            Control::Throw { tag_index } => {
                self.survey.passed += self.tag_arity(tag_index);
                self.calls += 1;
            }
            Control::ThrowRef | Control::Rethrow { .. } => self.calls += 1,
            Control::Unreachable | Control::Nop => {}
        }
        Ok(())
    }

    fn call_operator(&mut self, operator: Call) {
        let ty = match operator {
            Call::Call { function_index } | Call::ReturnCall { function_index } => {
                self.module.functions[function_index as usize]
            }
            Call::CallIndirect { type_index, .. }
            | Call::ReturnCallIndirect { type_index, .. }
            | Call::CallRef { type_index }
            | Call::ReturnCallRef { type_index } => type_index,
        };
        let ty = self.module.types.func(ty);
        self.survey.passed += (ty.params().len() + ty.results().len()) as u64;
        self.calls += 1;
    }

    fn variable_operator(&mut self, operator: Variable) {
        match operator {
            Variable::LocalGet { local_index }
            | Variable::LocalSet { local_index }
            | Variable::LocalTee { local_index } => self.touch(local_index),
            Variable::Drop
            | Variable::Select
            | Variable::TypedSelect { .. }
            | Variable::GlobalGet { .. }
            | Variable::GlobalSet { .. } => {}
        }
    }

    fn object_operator(&mut self, operator: Object) {
        match operator {
            Object::StructNew { struct_type_index: ty }
            | Object::StructNewDefault { struct_type_index: ty } => {
                if let CompositeType::Struct(ty) = &self.module.types[ty].composite {
                    self.survey.passed += ty.fields.len() as u64;
                }
            }
            Object::ArrayNewFixed { array_size, .. } => {
                self.survey.passed += u64::from(array_size);
            }
            // They take and leave a handful of operands each.
            Object::RefEq
            | Object::ArrayLen
            | Object::AnyConvertExtern
            | Object::ExternConvertAny
            | Object::RefI31
            | Object::I31GetS
            | Object::I31GetU
            | Object::StructGet { .. }
            | Object::StructGetS { .. }
            | Object::StructGetU { .. }
            | Object::StructSet { .. }
            | Object::ArrayNew { .. }
            | Object::ArrayNewDefault { .. }
            | Object::ArrayGet { .. }
            | Object::ArrayGetS { .. }
            | Object::ArrayGetU { .. }
            | Object::ArraySet { .. }
            | Object::ArrayFill { .. }
            | Object::ArrayNewData { .. }
            | Object::ArrayInitData { .. }
            | Object::ArrayNewElem { .. }
            | Object::ArrayInitElem { .. }
            | Object::ArrayCopy { .. }
            | Object::RefTestNonNull { .. }
            | Object::RefTestNullable { .. }
            | Object::RefCastNonNull { .. }
            | Object::RefCastNullable { .. } => {}
        }
    }

    fn touch(&mut self, local: u32) {
        let local = local as usize;
        if self.touched.len() <= local {
            self.touched.resize(local + 1, false);
        }
        self.touched[local] = true;
    }

    fn open(&mut self, params: u64, results: u64, is_loop: bool) {
        self.survey.branches += 1;
        if is_loop {
            self.loops += 1;
            self.survey.nested_loops = self.survey.nested_loops.max(self.loops);
        }
        // A loop lists its parameters where it begins and once more where it is entered.
        self.survey.passed += 2 * params;
        let calls_before = self.calls;
        self.frames.push(Frame {
            params,
            results,
            is_loop,
            catches: 0,
            catches_all: false,
            calls_before,
            calls: None,
        });
    }

    fn open_block(&mut self, ty: BlockType, is_loop: bool) -> Result {
        let (params, results) = block_signature(self.module, ty)?;
        self.open(params.len() as u64, results.len() as u64, is_loop);
        Ok(())
    }

    fn try_table(&mut self, try_table: &TryTable) -> Result {
        self.open_block(try_table.ty, false)?;
        let catches_all = |catch: &Catch| matches!(catch, Catch::All { .. } | Catch::AllRef { .. });
        self.innermost().catches = try_table.catches.len() as u64;
        self.innermost().catches_all = try_table.catches.iter().any(catches_all);
        for catch in &try_table.catches {
            let (Catch::One { label, .. }
            | Catch::OneRef { label, .. }
            | Catch::All { label }
            | Catch::AllRef { label }) = *catch;
            self.survey.branches += 1;
            // Labels count from the frame around. The landing pad loads what it branches with.
            self.survey.passed += 2 * self.label_arity(label + 1);
        }
        Ok(())
    }

    /// A `catch` begins, for the calls that its `try` had before the first of them.
    fn catch(&mut self) {
        self.survey.branches += 1;
        self.pass_results();
        let calls = self.calls;
        let frame = self.innermost();
        let calls = *frame.calls.get_or_insert(calls - frame.calls_before);
        self.handle(1, calls);
    }

    /// Each of so many calls lists a handler more, with the two values that it gets. (Or none, if one
    /// further in catches everything.)
    fn handle(&mut self, handlers: u64, calls: u64) {
        self.survey.passed += 3 * handlers * calls;
    }

    fn innermost(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("the body's own frame is the last to close")
    }

    fn pass_results(&mut self) {
        self.survey.passed += self.innermost().results;
    }

    fn end(&mut self) {
        // The results are listed by the block after the end, and where it is gone to.
        let frame = self.frames.pop().expect("validation pairs each `end` with an opening");
        self.survey.passed += 3 * frame.results;
        self.loops -= u64::from(frame.is_loop);
        self.survey.branches += 1;
        self.handle(frame.catches, self.calls - frame.calls_before);
        if frame.catches_all {
            // What is around never sees their exceptions.
            self.calls = frame.calls_before;
        }
    }

    fn label_arity(&self, depth: u32) -> u64 {
        let frame = &self.frames[self.frames.len() - 1 - depth as usize];
        if frame.is_loop { frame.params } else { frame.results }
    }

    fn br_table(&mut self, targets: &BrTable<'_>) -> Result {
        self.survey.branches += 1;
        // An edge of the control flow each.
        self.survey.passed += 4 * (u64::from(targets.len()) + 1);
        let arity = self.label_arity(targets.default());
        if arity > 0 {
            // Its values are listed once for each target.
            let mut depths = vec![targets.default()];
            for target in targets.targets() {
                depths.push(target.map_err(read_error)?);
            }
            depths.sort_unstable();
            depths.dedup();
            self.survey.branches += depths.len() as u64;
            self.survey.passed += arity * depths.len() as u64;
        }
        Ok(())
    }

    fn tag_arity(&self, tag: u32) -> u64 {
        self.module.tag_type(tag).params().len() as u64
    }
}
