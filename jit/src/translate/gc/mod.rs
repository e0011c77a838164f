//! Objects of the heap: their addresses, their allocation, and their types.
//!
//! A reference is a 32-bit offset from the heap's base ([`crate::gc`] draws the objects). Any call
//! may collect, and a collection moves objects: so references that live across one are declared, the
//! frontend keeps them in stack slots that the collector rewrites, and addresses inside objects
//! are made anew for each access, never kept.
//!
//! | file | what |
//! |---|---|
//! | `access` | fields and elements: their addresses, loads and stores |
//! | `structs`, `arrays` | the operators on both |
//! | `cast` | tests of types, branches on them, `i31` |

mod access;
mod arrays;
mod cast;
mod structs;

pub(super) use access::Extension;

use super::Result;
use super::alias::AliasRegion;
use super::builtins::{Bits32, Bits64};
use super::dispatch::Object;
use super::function::FuncTranslator;
use crate::gc::{HEADER_SIZE, LENGTH_OFFSET, TYPE_OFFSET};
use crate::types::ValType;
use crate::vm::{VMContext, VMStoreContext};
use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC, types};
use std::mem::offset_of;

impl FuncTranslator<'_, '_> {
    /// Translates an operator on objects of the heap.
    pub(super) fn object_operator(&mut self, operator: Object) -> Result {
        match operator {
            Object::RefEq => self.ref_eq(),
            Object::RefI31 => self.ref_i31(),
            Object::I31GetS => self.i31_get(true),
            Object::I31GetU => self.i31_get(false),
            // The same reference, seen from the other side.
            Object::AnyConvertExtern | Object::ExternConvertAny => Ok(()),
            Object::RefTestNonNull { hty } => self.ref_test(false, hty),
            Object::RefTestNullable { hty } => self.ref_test(true, hty),
            Object::RefCastNonNull { hty } => self.ref_cast(false, hty),
            Object::RefCastNullable { hty } => self.ref_cast(true, hty),
            Object::StructNew { struct_type_index } => self.struct_new(struct_type_index),
            Object::StructNewDefault { struct_type_index } => {
                self.struct_new_default(struct_type_index)
            }
            Object::StructGet { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::None)
            }
            Object::StructGetS { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::Signed)
            }
            Object::StructGetU { struct_type_index, field_index } => {
                self.struct_get(struct_type_index, field_index, Extension::Unsigned)
            }
            Object::StructSet { struct_type_index, field_index } => {
                self.struct_set(struct_type_index, field_index)
            }
            Object::ArrayNew { array_type_index } => self.array_new(array_type_index),
            Object::ArrayNewDefault { array_type_index } => {
                self.array_new_default(array_type_index)
            }
            Object::ArrayNewFixed { array_type_index, array_size } => {
                self.array_new_fixed(array_type_index, array_size)
            }
            Object::ArrayNewData { array_type_index, array_data_index } => {
                self.array_new_data(array_type_index, array_data_index)
            }
            Object::ArrayNewElem { array_type_index, array_elem_index } => {
                self.array_new_elem(array_type_index, array_elem_index)
            }
            Object::ArrayGet { array_type_index } => {
                self.array_get(array_type_index, Extension::None)
            }
            Object::ArrayGetS { array_type_index } => {
                self.array_get(array_type_index, Extension::Signed)
            }
            Object::ArrayGetU { array_type_index } => {
                self.array_get(array_type_index, Extension::Unsigned)
            }
            Object::ArraySet { array_type_index } => self.array_set(array_type_index),
            Object::ArrayLen => self.array_len(),
            Object::ArrayFill { array_type_index } => self.array_fill(array_type_index),
            Object::ArrayCopy { array_type_index_dst, .. } => self.array_copy(array_type_index_dst),
            Object::ArrayInitData { array_type_index, array_data_index } => {
                self.array_init_data(array_type_index, array_data_index)
            }
            Object::ArrayInitElem { array_type_index, array_elem_index } => {
                self.array_init_elem(array_type_index, array_elem_index)
            }
        }
    }

    /// Has the collector know of a value wherever it lives across a call, if it is a reference of
    /// the heap.
    pub(in crate::translate) fn declare(&mut self, ty: ValType, value: Value) {
        if ty.is_gc() {
            self.declare_reference(value);
        }
    }

    /// As [`FuncTranslator::declare`], of what is a reference of the heap.
    pub(in crate::translate) fn declare_reference(&mut self, value: Value) {
        self.name_spills();
        self.builder.declare_value_needs_stack_map(value);
    }

    /// Counts a call, across which references may be alive.
    pub(in crate::translate) fn count_call(&mut self) {
        // Without any there is nothing to list.
        if self.env.names_spills {
            self.limits.call(self.stack.len());
        }
    }

    /// Counts a block, around which references may be alive.
    pub(in crate::translate) fn count_block(&mut self) {
        if self.env.names_spills {
            self.limits.block(self.stack.len());
        }
    }

    /// Gives the stack slots of references an alias region of their own.
    pub(in crate::translate) fn name_spills(&mut self) {
        if !std::mem::replace(&mut self.env.names_spills, true) {
            self.builder.make_stack_map_alias_region(Box::new(|regions, _, _, _| {
                Some(regions.insert(AliasRegion::Spill.data()))
            }));
        }
    }

    /// The engine's number of a type of the module.
    pub(super) fn type_id(&mut self, type_index: u32) -> Value {
        let type_ids = self.context_pointer(offset_of!(VMContext, type_ids) as u32);
        let flags = AliasRegion::Context.constant(self.builder.func);
        let offset = type_index as usize * size_of::<u32>();
        self.builder.ins().load(types::I32, flags, type_ids, offset as i32)
    }

    /// Where the heap lies.
    fn heap_base(&mut self) -> Value {
        let store = self.store_context();
        let offset = offset_of!(VMStoreContext, gc_heap_base);
        if self.env.module.types.has_objects() && !self.env.tunables.scarce_addresses {
            // Instances of such modules make the heap, which never moves.
            return self.constant_pointer(store, offset);
        }
        let flags = AliasRegion::Store.trusted(self.builder.func);
        self.builder.ins().load(crate::abi::POINTER, flags, store, offset as i32)
    }

    /// The address of an object, good until the next call.
    pub(in crate::translate) fn object_address(&mut self, reference: Value) -> Value {
        let base = self.heap_base();
        let offset = self.builder.ins().uextend(types::I64, reference);
        self.builder.ins().iadd(base, offset)
    }

    /// A new object of `size` bytes (64 bits wide, a multiple of the objects' alignment) with its
    /// header. The caller writes the rest before anything else can happen.
    pub(in crate::translate) fn allocate(&mut self, ty: Value, size: Value, len: Value) -> Value {
        let store = self.store_context();
        let (next_offset, limit_offset) =
            (offset_of!(VMStoreContext, gc_next), offset_of!(VMStoreContext, gc_limit));
        let flags = AliasRegion::Allocation.trusted(self.builder.func);
        let next = self.builder.ins().load(types::I64, flags, store, next_offset as i32);
        let limit = self.builder.ins().load(types::I64, flags, store, limit_offset as i32);
        let end = self.builder.ins().iadd(next, size);
        let full = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        let [slow, fast, done] = [(); 3].map(|()| self.builder.create_block());
        let object = self.builder.append_block_param(done, types::I32);
        self.set_cold(slow);
        self.builder.ins().brif(full, slow, &[], fast, &[]);

        self.enter_sealed(fast);
        self.builder.ins().store(flags, end, store, next_offset as i32);
        let place = self.builder.ins().ireduce(types::I32, next);
        let base = self.heap_base();
        let address = self.builder.ins().iadd(base, next);
        let flags = self.fresh_flags();
        self.builder.ins().store(flags, ty, address, TYPE_OFFSET as i32);
        self.builder.ins().store(flags, len, address, LENGTH_OFFSET as i32);
        self.builder.ins().jump(done, &[place.into()]);

        self.enter_sealed(slow);
        let Bits32(place) = self.builtin().gc_alloc(Bits32(ty), Bits64(size), Bits32(len));
        self.builder.ins().jump(done, &[place.into()]);

        self.enter_sealed(done);
        self.declare_reference(object);
        object
    }

    /// A new object whose size is known.
    fn allocate_sized(&mut self, type_index: u32, size: u32, len: u32) -> Value {
        debug_assert!(size >= HEADER_SIZE);
        let ty = self.type_id(type_index);
        let size = self.builder.ins().iconst(types::I64, i64::from(size));
        let len = self.index(len);
        self.allocate(ty, size, len)
    }
}
