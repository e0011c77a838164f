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

/// The types of a function's locals, parameters included.
pub(super) fn local_types(
    module: &ModuleInfo,
    ty: &FuncType,
    body: &FunctionBody<'_>,
) -> Result<Vec<ValType>> {
    let mut types = ty.params().to_vec();
    for declaration in body.get_locals_reader().map_err(read_error)? {
        let (count, ty) = declaration.map_err(read_error)?;
        let ty = convert::val_type(&module.types, ty)?;
        types.extend(std::iter::repeat_n(ty, count as usize));
    }
    Ok(types)
}

/// Where the locals of a function live.
pub(super) enum Locals {
    /// In variables of the frontend, by their number: the usual way.
    Variables,
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
    /// Gives each local its first value: parameters their arguments, the others zero. Of locals in the
    /// frame there are only those `used`, ascending.
    pub(super) fn declare_locals(
        &mut self,
        ty: &FuncType,
        body: &FunctionBody<'_>,
        used: Option<&[u32]>,
    ) -> Result {
        let types = local_types(self.env.module, ty, body)?;
        if let Some(used) = used {
            self.place_locals(&types, used);
        }
        let params = ty.params().len();
        let mut zero: Option<(ValType, Value)> = None;
        for (local, &ty) in types.iter().enumerate() {
            let value = match zero {
                _ if local < params => self.builder.block_params(self.env.entry)[1 + local],
                Some((of, value)) if of == ty => value,
                _ => {
                    let value = self.zero(ty);
                    zero = Some((ty, value));
                    value
                }
            };
            self.declare_local(local as u32, ty, value)?;
        }
        Ok(())
    }

    /// Makes room in the frame for the locals that are used.
    fn place_locals(&mut self, types: &[ValType], used: &[u32]) {
        let mut size = 0u32;
        let mut places = HashMap::with_capacity(used.len());
        let mut references = Vec::new();
        for &local in used {
            let ty = types[local as usize];
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
            Locals::Variables => {
                let variable = self.builder.declare_var(abi::value_type(ty));
                debug_assert_eq!(variable.as_u32(), local, "variables are numbered as locals are");
                if ty.is_gc() {
                    self.name_spills();
                    self.builder.declare_var_needs_stack_map(variable);
                }
                self.builder.def_var(variable, value);
                Ok(())
            }
            Locals::Frame(locals) if locals.places.contains_key(&local) => {
                self.define_local(local, value)
            }
            Locals::Frame(_) => Ok(()),
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
            None => self.builder.use_var(Variable::from_u32(local)),
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
            None => self.builder.def_var(Variable::from_u32(local), value),
        }
        Ok(())
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
