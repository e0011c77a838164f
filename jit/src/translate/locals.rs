//! Locals: usually variables of the frontend, from which it builds SSA form.
//!
//! For SSA form, what a local costs depends on the blocks around: every local in use times every block,
//! in the worst case, and the register allocator looks at each of those again. Where that is too much
//! ([`plan`](super::plan)) locals live in the frame instead: reading one is a load, writing one a
//! store, and nothing is known of what is between. Of references of the heap among them every call tells the
//! collector.

use super::Result;
use super::alias::AliasRegion;
use super::function::{FuncTranslator, read_error};
use super::plan::Plan;
use crate::abi;
use crate::module::{ModuleInfo, convert};
use crate::types::{FuncType, ValType};
use cranelift_codegen::ir::{
    Inst, InstBuilder, StackSlot, StackSlotData, StackSlotKind, UserStackMapEntry, Value, types,
};
use cranelift_frontend::Variable;
use std::collections::HashMap;
use wasmparser::FunctionBody;

/// log2 of the alignment of the locals in the frame.
const SLOT_ALIGN_LOG2: u8 = 4;

/// The types of a function's locals, parameters included. The function's body lists them in runs of one type, and so
/// do these: a few bytes can declare 50,000.
pub(super) struct LocalTypes {
    /// Where each run ends, and its type.
    runs: Vec<(u32, ValType)>,
}

impl LocalTypes {
    pub(super) fn of(
        module: &ModuleInfo,
        ty: &FuncType,
        body: &FunctionBody<'_>,
    ) -> Result<LocalTypes> {
        let mut types = LocalTypes { runs: Vec::new() };
        ty.params().iter().for_each(|&ty| types.push(1, ty));
        for declaration in body.get_locals_reader().map_err(read_error)? {
            let (count, ty) = declaration.map_err(read_error)?;
            types.push(count, convert::val_type(&module.types, ty)?);
        }
        Ok(types)
    }

    fn push(&mut self, count: u32, ty: ValType) {
        let end = self.len() + count;
        match self.runs.last_mut() {
            Some(last) if last.1 == ty => last.0 = end,
            _ if count == 0 => {}
            _ => self.runs.push((end, ty)),
        }
    }

    fn len(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.0)
    }

    pub(super) fn get(&self, local: u32) -> ValType {
        self.runs[self.runs.partition_point(|&(end, _)| end <= local)].1
    }
}

/// Where the locals of a function live.
pub(super) enum Locals {
    /// In variables of the frontend: the usual way. Their numbers are those of the locals, or the locals' places among
    /// those that are used, if these are named.
    Variables(Option<Vec<u32>>),
    /// In the frame, so that their number times that of blocks costs nothing.
    Frame(FrameLocals),
}

/// The locals of a function, in one slot of its frame.
pub(super) struct FrameLocals {
    slot: StackSlot,
    /// The offset and type of each local that is used.
    places: HashMap<u32, (i32, ValType)>,
    /// The offsets of references of the heap.
    references: Vec<u32>,
}

impl FuncTranslator<'_, '_> {
    /// Gives each local its first value: parameters their arguments, the others zero. If the plan names the locals that
    /// are used, there are no others.
    pub(super) fn declare_locals(
        &mut self,
        ty: &FuncType,
        body: &FunctionBody<'_>,
        plan: &Plan,
    ) -> Result {
        let types = LocalTypes::of(self.env.module, ty, body)?;
        let params = ty.params().len() as u32;
        let mut zero: Option<(ValType, Value)> = None;
        let mut declare = |this: &mut Self, local: u32| {
            let ty = types.get(local);
            let value = match zero {
                _ if local < params => {
                    this.builder.block_params(this.env.entry)[1 + local as usize]
                }
                Some((of, value)) if of == ty => value,
                _ => {
                    let value = this.zero(ty);
                    zero = Some((ty, value));
                    value
                }
            };
            this.declare_local(local, ty, value)
        };
        match &plan.locals {
            Some(used) if plan.plain => {
                self.place_locals(&types, used);
                used.iter().try_for_each(|&local| declare(self, local))
            }
            Some(used) => {
                self.locals = Locals::Variables(Some(used.clone()));
                used.iter().try_for_each(|&local| declare(self, local))
            }
            None => (0..types.len()).try_for_each(|local| declare(self, local)),
        }
    }

    /// Makes room in the frame for the locals that are used.
    fn place_locals(&mut self, types: &LocalTypes, used: &[u32]) {
        let mut size = 0u32;
        let mut places = HashMap::with_capacity(used.len());
        let mut references = Vec::new();
        for &local in used {
            let ty = types.get(local);
            let bytes = abi::value_type(ty).bytes();
            let offset = size.next_multiple_of(bytes);
            // There are 50,000 at most, of 16 bytes at most.
            size = offset + bytes;
            places.insert(local, (offset as i32, ty));
            if ty.is_gc() {
                references.push(offset);
            }
        }
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, SLOT_ALIGN_LOG2);
        let slot = self.builder.create_sized_stack_slot(data);
        self.limits.take_frame(size);
        if !references.is_empty() {
            self.name_spills();
        }
        self.locals = Locals::Frame(FrameLocals { slot, places, references });
    }

    fn declare_local(&mut self, local: u32, ty: ValType, value: Value) -> Result {
        match &self.locals {
            Locals::Variables(_) => {
                let variable = self.builder.declare_var(abi::value_type(ty));
                debug_assert_eq!(variable, self.variable(local), "declared in their order");
                if ty.is_gc() {
                    self.name_spills();
                    self.builder.declare_var_needs_stack_map(variable);
                }
                self.builder.def_var(variable, value);
                Ok(())
            }
            Locals::Frame(_) => self.define_local(local, value),
        }
    }
}

impl FuncTranslator<'_, '_> {
    pub(super) fn local_get(&mut self, local: u32) -> Result {
        let value = match self.frame_place(local) {
            Some((address, offset, ty)) => {
                let flags = AliasRegion::Local.trusted(self.builder.func);
                let value = self.builder.ins().load(abi::value_type(ty), flags, address, offset);
                self.declare(ty, value);
                value
            }
            None => self.builder.use_var(self.variable(local)),
        };
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn local_set(&mut self, local: u32) -> Result {
        let value = self.pop_canonical();
        self.define_local(local, value)
    }

    pub(super) fn local_tee(&mut self, local: u32) -> Result {
        self.canonicalize_top(1);
        self.define_local(local, self.stack.top(1)[0])
    }

    fn define_local(&mut self, local: u32, value: Value) -> Result {
        match self.frame_place(local) {
            Some((address, offset, _)) => {
                let flags = AliasRegion::Local.trusted(self.builder.func);
                self.builder.ins().store(flags, value, address, offset);
            }
            None => self.builder.def_var(self.variable(local), value),
        }
        Ok(())
    }

    /// The variable of a local that is not in the frame.
    fn variable(&self, local: u32) -> Variable {
        let used = match &self.locals {
            Locals::Variables(Some(used)) => used,
            _ => return Variable::from_u32(local),
        };
        let place = used.binary_search(&local).expect("every local in use is named");
        Variable::from_u32(place as u32)
    }

    /// Where a local lies that is in the frame.
    fn frame_place(&mut self, local: u32) -> Option<(Value, i32, ValType)> {
        let Locals::Frame(locals) = &self.locals else { return None };
        let (offset, ty) = locals.places[&local];
        let address = self.builder.ins().stack_addr(abi::POINTER, locals.slot, 0);
        Some((address, offset, ty))
    }

    /// Tells the collector of the locals in the frame, for a call.
    pub(super) fn map_locals(&mut self, call: Inst) {
        let Locals::Frame(locals) = &self.locals else { return };
        for &offset in &locals.references {
            let entry = UserStackMapEntry { ty: types::I32, slot: locals.slot, offset };
            self.builder.func.dfg.append_user_stack_map_entry(call, entry);
        }
    }
}
