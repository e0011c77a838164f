//! [`StructType`] and [`ArrayType`]: the types of objects.

use super::value::Concrete;
use super::{Mutability, ValType};
use crate::engine::{Engine, RegisteredType};
use crate::error::{Error, Result};
use seqfault_jit::types::{self as canonical, CompositeType, SubType};
use std::fmt;

/// Whether a type may have subtypes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// It has none.
    Final,
    /// It may have some.
    NonFinal,
}

/// The storage of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageType {
    /// The low 8 bits of an `i32`.
    I8,
    /// The low 16 bits of an `i32`.
    I16,
    /// A value as it is.
    ValType(ValType),
}

impl StorageType {
    /// The type of the values that are read from and written to such a field.
    pub fn unpack(&self) -> ValType {
        match self {
            StorageType::I8 | StorageType::I16 => ValType::I32,
            StorageType::ValType(ty) => ty.clone(),
        }
    }

    fn matches(&self, other: &StorageType) -> bool {
        match (self, other) {
            (StorageType::ValType(a), StorageType::ValType(b)) => a.matches(b),
            _ => self == other,
        }
    }
}

impl From<ValType> for StorageType {
    fn from(ty: ValType) -> StorageType {
        StorageType::ValType(ty)
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageType::I8 => f.write_str("i8"),
            StorageType::I16 => f.write_str("i16"),
            StorageType::ValType(ty) => ty.fmt(f),
        }
    }
}

/// A field of a struct, or the elements of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldType {
    mutability: Mutability,
    element_type: StorageType,
}

impl FieldType {
    /// A field that keeps an `element_type`.
    pub fn new(mutability: Mutability, element_type: StorageType) -> FieldType {
        FieldType { mutability, element_type }
    }

    /// Whether it can be assigned to.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }

    /// Its storage.
    pub fn element_type(&self) -> &StorageType {
        &self.element_type
    }

    /// Whether a subtype may have a field like this where its supertype has one like `other`.
    pub fn matches(&self, other: &FieldType) -> bool {
        self.mutability == other.mutability
            && match self.mutability {
                Mutability::Const => self.element_type.matches(&other.element_type),
                Mutability::Var => self.element_type == other.element_type,
            }
    }

    fn from_canonical(ty: &canonical::FieldType, owner: &RegisteredType) -> FieldType {
        let element_type = match ty.storage {
            canonical::StorageType::I8 => StorageType::I8,
            canonical::StorageType::I16 => StorageType::I16,
            canonical::StorageType::Val(ty) => {
                StorageType::ValType(ValType::from_canonical(ty, &|id| owner.resolve(id)))
            }
        };
        FieldType { mutability: ty.mutability, element_type }
    }

    fn to_canonical(
        &self,
        engine: &Engine,
        others: &mut Vec<RegisteredType>,
    ) -> canonical::FieldType {
        let mut refer = |ty: Concrete<'_>| super::refer(engine, others, ty);
        let storage = match &self.element_type {
            StorageType::I8 => canonical::StorageType::I8,
            StorageType::I16 => canonical::StorageType::I16,
            StorageType::ValType(ty) => canonical::StorageType::Val(ty.to_canonical(&mut refer)),
        };
        canonical::FieldType { storage, mutability: self.mutability }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutability {
            Mutability::Const => self.element_type.fmt(f),
            Mutability::Var => write!(f, "(mut {})", self.element_type),
        }
    }
}

/// Registers a type with its supertype, after `fits` has confirmed that it matches it.
fn register(
    engine: &Engine,
    finality: Finality,
    supertype: Option<&RegisteredType>,
    fits: bool,
    composite: CompositeType,
    mut others: Vec<RegisteredType>,
) -> Result<RegisteredType> {
    let mut id = None;
    if let Some(supertype) = supertype {
        assert!(engine.types().owns(supertype), "a type used with another engine than its own");
        if supertype.ty().is_final || !fits {
            return Err(Error::msg("the type cannot be a subtype of that"));
        }
        id = Some(supertype.id().0);
        others.push(supertype.clone());
    }
    let is_final = finality == Finality::Final;
    let ty = SubType { is_final, supertype: id, composite };
    Ok(super::intern(engine, &ty, others))
}

macro_rules! object_type {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Whether objects of this type also have type `other`.
            pub fn matches(&self, other: &$name) -> bool {
                self.0.is_subtype_of(&other.0)
            }

            /// Whether it has no subtypes.
            pub fn finality(&self) -> Finality {
                if self.0.ty().is_final { Finality::Final } else { Finality::NonFinal }
            }

            /// The type that it refines.
            pub fn supertype(&self) -> Option<$name> {
                Some($name(self.0.resolve(self.0.ty().supertype?)))
            }

            pub(crate) fn registered(ty: RegisteredType) -> $name {
                $name(ty)
            }

            pub(crate) fn inner(&self) -> &RegisteredType {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// A struct type, of one engine.
#[derive(Clone, PartialEq, Eq)]
pub struct StructType(RegisteredType);

object_type!(StructType, "struct");

impl StructType {
    /// A final struct type without a supertype.
    ///
    /// # Errors
    ///
    /// When there are more than 10,000 fields.
    pub fn new(engine: &Engine, fields: impl IntoIterator<Item = FieldType>) -> Result<StructType> {
        StructType::with_finality_and_supertype(engine, Finality::Final, None, fields)
    }

    /// A struct type with its place among subtypes.
    ///
    /// # Errors
    ///
    /// When `supertype` is final or is not a supertype of such fields, or when there are more than
    /// 10,000 fields.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&StructType>,
        fields: impl IntoIterator<Item = FieldType>,
    ) -> Result<StructType> {
        /// The same limit as for modules.
        const MAX_FIELDS: usize = 10_000;
        let fields: Vec<FieldType> = fields.into_iter().collect();
        if fields.len() > MAX_FIELDS {
            return Err(Error::msg(format!("a struct has at most {MAX_FIELDS} fields")));
        }
        let fits = supertype.is_none_or(|supertype| {
            supertype.fields().len() <= fields.len()
                && fields.iter().zip(supertype.fields()).all(|(a, b)| a.matches(&b))
        });
        let mut others = Vec::new();
        let canonical =
            fields.iter().map(|field| field.to_canonical(engine, &mut others)).collect();
        let composite = CompositeType::Struct(canonical::StructType { fields: canonical });
        let supertype = supertype.map(|ty| &ty.0);
        register(engine, finality, supertype, fits, composite, others).map(StructType)
    }

    fn canonical(&self) -> &canonical::StructType {
        match &self.0.ty().composite {
            CompositeType::Struct(ty) => ty,
            other => unreachable!("a struct type: {other:?}"),
        }
    }

    /// Its fields, in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldType> + '_ {
        let fields = self.canonical().fields.iter();
        fields.map(|field| FieldType::from_canonical(field, &self.0))
    }

    /// One field.
    pub fn field(&self, index: usize) -> Option<FieldType> {
        Some(FieldType::from_canonical(self.canonical().fields.get(index)?, &self.0))
    }
}

impl fmt::Display for StructType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::nested(f, "struct", self.fields().len(), |f| {
            for field in self.fields() {
                write!(f, " (field {field})")?;
            }
            Ok(())
        })
    }
}

/// An array type, of one engine.
#[derive(Clone, PartialEq, Eq)]
pub struct ArrayType(RegisteredType);

object_type!(ArrayType, "array");

impl ArrayType {
    /// A final array type without a supertype.
    pub fn new(engine: &Engine, element: FieldType) -> ArrayType {
        let ty = ArrayType::with_finality_and_supertype(engine, Finality::Final, None, element);
        ty.expect("nothing to match")
    }

    /// An array type with its place among subtypes.
    ///
    /// # Errors
    ///
    /// When `supertype` is final or is not a supertype of such elements.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&ArrayType>,
        element: FieldType,
    ) -> Result<ArrayType> {
        let fits = supertype.is_none_or(|supertype| element.matches(&supertype.field_type()));
        let mut others = Vec::new();
        let canonical = canonical::ArrayType { element: element.to_canonical(engine, &mut others) };
        let supertype = supertype.map(|ty| &ty.0);
        let composite = CompositeType::Array(canonical);
        register(engine, finality, supertype, fits, composite, others).map(ArrayType)
    }

    /// Its elements.
    pub fn field_type(&self) -> FieldType {
        match &self.0.ty().composite {
            CompositeType::Array(ty) => FieldType::from_canonical(&ty.element, &self.0),
            other => unreachable!("an array type: {other:?}"),
        }
    }

    /// Whether its elements can be assigned to.
    pub fn mutability(&self) -> Mutability {
        self.field_type().mutability
    }

    /// The storage of its elements.
    pub fn element_type(&self) -> StorageType {
        self.field_type().element_type
    }
}

impl fmt::Display for ArrayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::nested(f, "array", 1, |f| write!(f, " {}", self.field_type()))
    }
}
