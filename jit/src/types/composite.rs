//! Composite types: functions, structs and arrays, and their subtyping.
//!
//! Source: WebAssembly core specification, section 2.3.8 "Composite Types" and following.

use super::{FuncType, Mutability, ValType};

/// The storage of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageType {
    /// The low 8 bits of an `i32`.
    I8,
    /// The low 16 bits of an `i32`.
    I16,
    /// A value as it is.
    Val(ValType),
}

impl StorageType {
    /// The type of the value that is read from or written to such a field.
    pub fn unpacked(self) -> ValType {
        match self {
            StorageType::I8 | StorageType::I16 => ValType::I32,
            StorageType::Val(ty) => ty,
        }
    }

    /// Bytes in an object; also the alignment, up to 8.
    pub fn size(self) -> u32 {
        match self {
            StorageType::I8 => 1,
            StorageType::I16 => 2,
            StorageType::Val(ValType::I32 | ValType::F32) => 4,
            StorageType::Val(ValType::I64 | ValType::F64) => 8,
            StorageType::Val(ValType::V128) => 16,
            StorageType::Val(ValType::Ref(ty)) if ty.is_gc() => 4,
            StorageType::Val(ValType::Ref(_)) => 8,
        }
    }

    /// Whether it is a reference into the store's heap.
    pub fn is_gc(self) -> bool {
        self.unpacked().is_gc()
    }
}

/// A field of a struct, or the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    /// Its storage.
    pub storage: StorageType,
    /// Whether it can be assigned to.
    pub mutability: Mutability,
}

/// A struct type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StructType {
    /// Its fields, in order.
    pub fields: Box<[FieldType]>,
}

/// An array type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArrayType {
    /// Its elements.
    pub element: FieldType,
}

/// What a type section defines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CompositeType {
    /// A function type.
    Func(FuncType),
    /// A struct type.
    Struct(StructType),
    /// An array type.
    Array(ArrayType),
}

/// A composite type, its supertype, and whether it is final.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubType {
    /// Whether it has no subtypes.
    pub is_final: bool,
    /// The type that it refines.
    pub supertype: Option<u32>,
    /// The type itself.
    pub composite: CompositeType,
}

impl SubType {
    /// A final type that refines none.
    pub fn plain(composite: CompositeType) -> SubType {
        SubType { is_final: true, supertype: None, composite }
    }

    /// This as a function type, if it is one.
    pub fn as_func(&self) -> Option<&FuncType> {
        match &self.composite {
            CompositeType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// The same type with the type indices replaced by those that `f` gives.
    pub fn map(&self, mut f: impl FnMut(u32) -> u32) -> SubType {
        let f = &mut f;
        SubType {
            is_final: self.is_final,
            supertype: self.supertype.map(&mut *f),
            composite: match &self.composite {
                CompositeType::Func(ty) => CompositeType::Func(ty.map(f)),
                CompositeType::Struct(ty) => CompositeType::Struct(StructType {
                    fields: ty.fields.iter().map(|field| map_field(field, f)).collect(),
                }),
                CompositeType::Array(ty) => {
                    CompositeType::Array(ArrayType { element: map_field(&ty.element, f) })
                }
            },
        }
    }

    /// Calls `f` with the index of each type that this type refers to.
    pub fn for_each_reference(&self, mut f: impl FnMut(u32)) {
        self.map(|index| {
            f(index);
            index
        });
    }
}

fn map_field(field: &FieldType, f: &mut impl FnMut(u32) -> u32) -> FieldType {
    let storage = match field.storage {
        StorageType::Val(ty) => StorageType::Val(ty.map(f)),
        packed => packed,
    };
    FieldType { storage, ..*field }
}
