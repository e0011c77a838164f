//! From the parser's types to ours.
//!
//! The validator has already refused modules that need other features. What is refused here is
//! valid WebAssembly that this engine does not provide.

use super::info::{ConstExpr, ConstOp};
use super::types::ModuleTypes;
use crate::error::CompileError;
use crate::types::{
    FieldType, FuncType, GlobalType, HeapType, MemoryType, Mutability, RefType, StorageType,
    TableType, ValType,
};
use smallvec::SmallVec;
use wasmparser::{AbstractHeapType, Operator, UnpackedIndex};

type Result<T> = std::result::Result<T, CompileError>;

fn unsupported<T>(what: impl Into<String>) -> Result<T> {
    Err(CompileError::Unsupported(what.into()))
}

pub(crate) fn heap_type(types: &ModuleTypes, ty: wasmparser::HeapType) -> Result<HeapType> {
    Ok(match ty {
        wasmparser::HeapType::Abstract { shared: false, ty } => match ty {
            AbstractHeapType::Func => HeapType::Func,
            AbstractHeapType::NoFunc => HeapType::NoFunc,
            AbstractHeapType::Extern => HeapType::Extern,
            AbstractHeapType::NoExtern => HeapType::NoExtern,
            AbstractHeapType::Any => HeapType::Any,
            AbstractHeapType::Eq => HeapType::Eq,
            AbstractHeapType::I31 => HeapType::I31,
            AbstractHeapType::Struct => HeapType::Struct,
            AbstractHeapType::Array => HeapType::Array,
            AbstractHeapType::None => HeapType::None,
            AbstractHeapType::Exn => HeapType::Exn,
            AbstractHeapType::NoExn => HeapType::NoExn,
            other => return unsupported(format!("heap type {other:?}")),
        },
        wasmparser::HeapType::Concrete(UnpackedIndex::Module(index)) => types.concrete(index),
        other => return unsupported(format!("heap type {other:?}")),
    })
}

pub(crate) fn ref_type(types: &ModuleTypes, ty: wasmparser::RefType) -> Result<RefType> {
    Ok(RefType { nullable: ty.is_nullable(), heap: heap_type(types, ty.heap_type())? })
}

pub(crate) fn val_type(types: &ModuleTypes, ty: wasmparser::ValType) -> Result<ValType> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(types, ty)?),
    })
}

pub(crate) fn func_type(types: &ModuleTypes, ty: &wasmparser::FuncType) -> Result<FuncType> {
    let all = |list: &[wasmparser::ValType]| {
        list.iter().map(|&ty| val_type(types, ty)).collect::<Result<Vec<_>>>()
    };
    Ok(FuncType::new(all(ty.params())?, all(ty.results())?))
}

pub(super) fn field_type(types: &ModuleTypes, ty: &wasmparser::FieldType) -> Result<FieldType> {
    let storage = match ty.element_type {
        wasmparser::StorageType::I8 => StorageType::I8,
        wasmparser::StorageType::I16 => StorageType::I16,
        wasmparser::StorageType::Val(ty) => StorageType::Val(val_type(types, ty)?),
    };
    Ok(FieldType { storage, mutability: mutability(ty.mutable) })
}

fn mutability(mutable: bool) -> Mutability {
    if mutable { Mutability::Var } else { Mutability::Const }
}

pub(crate) fn table_type(types: &ModuleTypes, ty: &wasmparser::TableType) -> Result<TableType> {
    let element = ref_type(types, ty.element_type)?;
    Ok(TableType { table64: ty.table64, ..TableType::new64(element, ty.initial, ty.maximum) })
}

pub(crate) fn memory_type(ty: &wasmparser::MemoryType) -> Result<MemoryType> {
    let builder = MemoryType::builder().min(ty.initial).max(ty.maximum).shared(ty.shared);
    let builder =
        builder.memory64(ty.memory64).page_size_log2(ty.page_size_log2.unwrap_or(16) as u8);
    builder.build().map_err(|error| CompileError::Unsupported(error.to_string()))
}

pub(crate) fn global_type(types: &ModuleTypes, ty: &wasmparser::GlobalType) -> Result<GlobalType> {
    let content = val_type(types, ty.content_type)?;
    Ok(GlobalType { content, mutability: mutability(ty.mutable) })
}

/// A constant expression; adds the functions that it refers to to `escaped`.
pub(crate) fn const_expr(
    expr: &wasmparser::ConstExpr<'_>,
    escaped: &mut Vec<u32>,
) -> Result<ConstExpr> {
    let mut ops = SmallVec::new();
    for op in expr.get_operators_reader() {
        let op = op.map_err(|error| CompileError::Malformed {
            message: error.message().to_owned(),
            offset: error.offset() as usize,
        })?;
        ops.push(match op {
            Operator::I32Const { value } => ConstOp::I32Const(value),
            Operator::I64Const { value } => ConstOp::I64Const(value),
            Operator::F32Const { value } => ConstOp::F32Const(value.bits()),
            Operator::F64Const { value } => ConstOp::F64Const(value.bits()),
            Operator::V128Const { value } => ConstOp::V128Const(*value.bytes()),
            Operator::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
            Operator::RefNull { .. } => ConstOp::RefNull,
            Operator::RefFunc { function_index } => {
                escaped.push(function_index);
                ConstOp::RefFunc(function_index)
            }
            Operator::I32Add => ConstOp::I32Add,
            Operator::I32Sub => ConstOp::I32Sub,
            Operator::I32Mul => ConstOp::I32Mul,
            Operator::I64Add => ConstOp::I64Add,
            Operator::I64Sub => ConstOp::I64Sub,
            Operator::I64Mul => ConstOp::I64Mul,
            Operator::RefI31 => ConstOp::RefI31,
            Operator::StructNew { struct_type_index } => ConstOp::StructNew(struct_type_index),
            Operator::StructNewDefault { struct_type_index } => {
                ConstOp::StructNewDefault(struct_type_index)
            }
            Operator::ArrayNew { array_type_index } => ConstOp::ArrayNew(array_type_index),
            Operator::ArrayNewDefault { array_type_index } => {
                ConstOp::ArrayNewDefault(array_type_index)
            }
            Operator::ArrayNewFixed { array_type_index, array_size } => {
                ConstOp::ArrayNewFixed { ty: array_type_index, len: array_size }
            }
            // The reference stays the same; only its type changes.
            Operator::AnyConvertExtern | Operator::ExternConvertAny => continue,
            Operator::End => break,
            other => return unsupported(format!("constant expression operator {other:?}")),
        });
    }
    Ok(ConstExpr { ops })
}
