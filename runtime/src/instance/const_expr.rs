//! Evaluating constant expressions.
//!
//! Source: specification section 3.3.10 "Constant Expressions". They have been validated, so the
//! stack always holds the operands of each operation.
//!
//! Operations that allocate may collect. So references on the stack are rooted, and are read from
//! their root when they are popped.

use super::context::InstanceData;
use crate::entities::read_global;
use crate::error::Result;
use crate::fallible;
use crate::gc::arrays::{ArrayShape, new_repeated};
use crate::gc::{self, I31, RawRef};
use crate::store::StoreOpaque;
use crate::trap::{TrapCode, TrapReason};
use seqfault_jit::gc::{FieldsLayout, HEADER_SIZE, array_size};
use seqfault_jit::module::{ConstExpr, ConstOp};
use seqfault_jit::types::{CompositeType, StorageType};
use seqfault_jit::vm::ValRaw;

/// The value of `expr` in an instance whose functions and earlier globals are set. It is in the low
/// bytes; the others are zero. A reference into the heap is valid until the next allocation.
///
/// # Safety
///
/// `store` must be alive and not borrowed elsewhere, `instance` one of its instances.
///
/// # Errors
///
/// When there is no room for an object.
pub(super) unsafe fn evaluate(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    expr: &ConstExpr,
) -> Result<ValRaw> {
    // SAFETY: the caller's promise.
    let height = unsafe { (*store).roots().height() };
    let stack = fallible::with_capacity(expr.ops.len())?;
    let mut evaluation = Evaluation { store, instance, stack };
    let result = expr.ops.iter().try_for_each(|op| evaluation.step(op));
    let value = result.map(|()| evaluation.pop());
    // SAFETY: the caller's promise.
    unsafe { (*store).roots_mut().truncate(height) };
    Ok(ValRaw { v128: value? })
}

/// The value of an expression of a reference type, as a table element.
///
/// # Safety
///
/// As for [`evaluate`].
pub(super) unsafe fn evaluate_reference(
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    expr: &ConstExpr,
) -> Result<u64> {
    // SAFETY: the caller's promise; `evaluate` writes all bytes.
    unsafe { Ok(evaluate(store, instance, expr)?.f64) }
}

/// The value of an operation that needs neither an instance nor a heap; `None` if it needs one. `pop`
/// takes an operand off.
pub(crate) fn compute(op: &ConstOp, mut pop: impl FnMut() -> u128) -> Option<u128> {
    let mut narrow = |op: fn(u32, u32) -> u32| {
        let (b, a) = (pop() as u32, pop() as u32);
        u128::from(op(a, b))
    };
    Some(match *op {
        ConstOp::I32Const(value) => u128::from(value as u32),
        ConstOp::I64Const(value) => u128::from(value as u64),
        ConstOp::F32Const(bits) => u128::from(bits),
        ConstOp::F64Const(bits) => u128::from(bits),
        ConstOp::V128Const(bytes) => u128::from_ne_bytes(bytes),
        ConstOp::RefNull => 0,
        ConstOp::I32Add => narrow(u32::wrapping_add),
        ConstOp::I32Sub => narrow(u32::wrapping_sub),
        ConstOp::I32Mul => narrow(u32::wrapping_mul),
        ConstOp::I64Add => wide(pop, u64::wrapping_add),
        ConstOp::I64Sub => wide(pop, u64::wrapping_sub),
        ConstOp::I64Mul => wide(pop, u64::wrapping_mul),
        ConstOp::RefI31 => I31::wrapping_u32(pop() as u32).to_raw().into(),
        _ => return None,
    })
}

fn wide(mut pop: impl FnMut() -> u128, op: fn(u64, u64) -> u64) -> u128 {
    let (b, a) = (pop() as u64, pop() as u64);
    op(a, b).into()
}

/// The state of one evaluation.
struct Evaluation {
    store: *mut StoreOpaque,
    instance: *const InstanceData,
    stack: Vec<Item>,
}

/// A value on the stack.
#[derive(Clone, Copy)]
enum Item {
    /// The value itself.
    Plain(u128),
    /// A reference into the heap, by the place of its root.
    Rooted(usize),
}

impl Evaluation {
    fn store(&self) -> &StoreOpaque {
        // SAFETY: alive and not borrowed elsewhere, says the caller of `evaluate`.
        unsafe { &*self.store }
    }

    fn instance(&self) -> &InstanceData {
        // SAFETY: as above.
        unsafe { &*self.instance }
    }

    fn step(&mut self, op: &ConstOp) -> Result<()> {
        let value = match *op {
            ConstOp::GlobalGet(global) => return self.global_get(global),
            ConstOp::RefFunc(func) => self.instance().func_ref(func) as usize as u128,
            ConstOp::StructNew(ty) => return self.struct_new(ty, false),
            ConstOp::StructNewDefault(ty) => return self.struct_new(ty, true),
            ConstOp::ArrayNew(ty) => {
                let len = self.pop() as u32;
                let value = self.pop();
                return self.array_new(ty, len, value);
            }
            ConstOp::ArrayNewDefault(ty) => {
                let len = self.pop() as u32;
                return self.array_new(ty, len, 0);
            }
            ConstOp::ArrayNewFixed { ty, len } => return self.array_new_fixed(ty, len),
            ref op => compute(op, || self.pop()).expect("the others are above"),
        };
        self.stack.push(Item::Plain(value));
        Ok(())
    }

    fn pop(&mut self) -> u128 {
        let item = self.stack.pop().expect("validated");
        self.value(item)
    }

    /// The present value of an item.
    fn value(&self, item: Item) -> u128 {
        match item {
            Item::Plain(value) => value,
            Item::Rooted(place) => self.store().roots().at(place).into(),
        }
    }

    fn push_reference(&mut self, reference: RawRef) -> Result<()> {
        // SAFETY: as in `store`.
        let place = unsafe { (*self.store).roots_mut().try_push(reference)? };
        self.stack.push(Item::Rooted(place));
        Ok(())
    }

    fn global_get(&mut self, global: u32) -> Result<()> {
        let instance = self.instance();
        // SAFETY: the globals that constant expressions may read are already set, and no guest code
        // runs now; all bits of a raw value are plain.
        let value = unsafe { read_global(instance.global(global)).v128 };
        match instance.module().info().globals[global as usize].content.is_gc() {
            true => return self.push_reference(value as RawRef),
            false => self.stack.push(Item::Plain(value)),
        }
        Ok(())
    }

    fn allocate(&mut self, ty: u32, size: u32, len: u32) -> Result<RawRef> {
        let ty = self.instance().module().type_ids()[ty as usize].0;
        // SAFETY: the caller of `evaluate` promises it; the references on the stack are rooted.
        unsafe { gc::allocate_for_guest(self.store, ty, size.into(), len) }
    }

    fn struct_new(&mut self, type_index: u32, default: bool) -> Result<()> {
        let module = self.instance().module().clone();
        let CompositeType::Struct(ty) = &module.info().types[type_index].composite else {
            unreachable!("validation says that it is a struct type")
        };
        let layout = FieldsLayout::of_struct(ty);
        let object = self.allocate(type_index, layout.size, 0)?;
        for (field, &offset) in ty.fields.iter().zip(&layout.offsets).rev() {
            let value = if default { 0 } else { self.pop() };
            self.write(object, offset, field.storage, value);
        }
        self.push_reference(object)
    }

    fn array_new(&mut self, type_index: u32, len: u32, value: u128) -> Result<()> {
        let storage = self.element_storage(type_index);
        let ty = self.instance().module().type_ids()[type_index as usize].0;
        let shape = ArrayShape { ty, storage, len };
        // SAFETY: the caller of `evaluate` promises it; references that are held are rooted.
        let array = unsafe { new_repeated(self.store, shape, value)? };
        self.push_reference(array)
    }

    fn array_new_fixed(&mut self, type_index: u32, len: u32) -> Result<()> {
        let storage = self.element_storage(type_index);
        let size = array_size(storage.size(), len);
        let size = size.ok_or(TrapReason(TrapCode::GcHeapOutOfMemory))?;
        let array = self.allocate(type_index, size, len)?;
        for index in (0..len).rev() {
            let value = self.pop();
            self.write(array, HEADER_SIZE + index * storage.size(), storage, value);
        }
        self.push_reference(array)
    }

    fn element_storage(&self, type_index: u32) -> StorageType {
        match &self.instance().module().info().types[type_index].composite {
            CompositeType::Array(ty) => ty.element.storage,
            _ => unreachable!("validation says that it is an array type"),
        }
    }

    fn write(&self, object: RawRef, offset: u32, storage: StorageType, value: u128) {
        let heap = self.store().gc_heap().expect("there is an object");
        match storage.size() {
            1 => heap.write(object, offset, value as u8),
            2 => heap.write(object, offset, value as u16),
            4 => heap.write(object, offset, value as u32),
            8 => heap.write(object, offset, value as u64),
            _ => heap.write(object, offset, value),
        }
    }
}

/// The value of an expression of type `i32` or `i64`, as an address or index.
pub(super) fn evaluate_offset(
    store: &mut StoreOpaque,
    instance: &InstanceData,
    expr: &ConstExpr,
) -> Result<u64> {
    // SAFETY: the store is borrowed mutably; `evaluate` writes all bytes, and those above an `i32`
    // are zero.
    unsafe { Ok(evaluate(store, instance, expr)?.i64 as u64) }
}
