//! [`ModuleTypes`]: the type section of a module.

use super::convert;
use crate::error::CompileError;
use crate::types::{ArrayType, CompositeType, FuncType, HeapType, StructType, SubType};
use std::ops::{Index, Range};
use wasmparser::{CompositeInnerType, RecGroup};

/// The types that a module declares, by type index, in their recursion groups.
#[derive(Debug, Default)]
pub struct ModuleTypes {
    types: Vec<SubType>,
    /// Where each group ends.
    group_ends: Vec<u32>,
    /// The kind of each type; those of a group are known before its types are read.
    kinds: Vec<fn(u32) -> HeapType>,
    has_objects: bool,
    most_values: usize,
}

impl ModuleTypes {
    /// Adds a recursion group that has been validated.
    pub(super) fn push_group(&mut self, group: RecGroup) -> Result<(), CompileError> {
        let types: Vec<_> = group.into_types().collect();
        self.kinds.extend(types.iter().map(|ty| match ty.composite_type.inner {
            CompositeInnerType::Struct(_) => HeapType::ConcreteStruct as fn(u32) -> HeapType,
            CompositeInnerType::Array(_) => HeapType::ConcreteArray,
            // Continuations are refused below.
            CompositeInnerType::Func(_) | CompositeInnerType::Cont(_) => HeapType::ConcreteFunc,
        }));
        for ty in types {
            let composite = match &ty.composite_type.inner {
                CompositeInnerType::Func(ty) => CompositeType::Func(convert::func_type(self, ty)?),
                CompositeInnerType::Struct(ty) => {
                    let fields = ty.fields.iter().map(|field| convert::field_type(self, field));
                    CompositeType::Struct(StructType { fields: fields.collect::<Result<_, _>>()? })
                }
                CompositeInnerType::Array(ty) => {
                    CompositeType::Array(ArrayType { element: convert::field_type(self, &ty.0)? })
                }
                CompositeInnerType::Cont(_) => {
                    return Err(CompileError::Unsupported("continuation types".into()));
                }
            };
            let supertype = ty.supertype_idxs.first().map(|index| {
                index.as_module_index().expect("a module refers to its types by index")
            });
            self.most_values = self.most_values.max(match &composite {
                CompositeType::Func(ty) => ty.params().len() + ty.results().len(),
                CompositeType::Struct(ty) => ty.fields.len(),
                CompositeType::Array(_) => 0,
            });
            self.has_objects |= !matches!(composite, CompositeType::Func(_));
            self.types.push(SubType { is_final: ty.is_final, supertype, composite });
        }
        // wasmparser limits a module to a million types.
        self.group_ends.push(self.types.len() as u32);
        Ok(())
    }

    /// The most parameters and results, or fields, that a type has.
    pub(crate) fn most_values(&self) -> usize {
        self.most_values
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// All types, by index.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SubType> {
        self.types.iter()
    }

    /// The recursion groups: the indices of their types.
    pub fn groups(&self) -> impl Iterator<Item = Range<u32>> {
        let starts = std::iter::once(0).chain(self.group_ends.iter().copied());
        starts.zip(&self.group_ends).map(|(start, &end)| start..end)
    }

    /// The heap type of references to a type of this module.
    pub(super) fn concrete(&self, index: u32) -> HeapType {
        self.kinds[index as usize](index)
    }

    /// A type that validation has found to be a function type.
    pub fn func(&self, index: u32) -> &FuncType {
        self[index].as_func().expect("validation says that it is a function type")
    }

    /// How many supertypes a type has, including itself.
    pub fn depth(&self, index: u32) -> u32 {
        let mut depth = 1;
        let mut ty = &self[index];
        while let Some(supertype) = ty.supertype {
            ty = &self[supertype];
            depth += 1;
        }
        depth
    }

    /// Whether some of the types are types of heap objects.
    pub fn has_objects(&self) -> bool {
        self.has_objects
    }
}

impl Index<u32> for ModuleTypes {
    type Output = SubType;

    fn index(&self, index: u32) -> &SubType {
        &self.types[index as usize]
    }
}
