//! [`RecGroup`]: types that were declared together, and [`RegisteredType`], one of them.

use super::table::{self, Entry};
use super::{Shared, TypeId};
use crate::engine::{CompileOnce, Engine};
use crate::error::Result;
use seqfault_jit::code::{PublishedUnit, UnitBuilder};
use seqfault_jit::gc::{FieldsLayout, GcLayout};
use seqfault_jit::types::{CompositeType, FuncType, SubType};
use seqfault_jit::vm::EntryTrampoline;
use seqfault_jit::{CompileError, CompileScratch, CompiledFunction};
use std::sync::{Arc, Weak};

/// In the form by which groups are found, marks a reference to a type of the same group.
pub(super) const RELATIVE: u32 = 1 << 31;

/// A recursion group of canonical types.
#[derive(Debug)]
pub(crate) struct RecGroup {
    shared: Arc<Shared>,
    key: Arc<[SubType]>,
    types: Box<[CanonicalType]>,
    /// The types of other groups that these refer to, by id.
    others: Vec<RegisteredType>,
}

/// One type of a group.
#[derive(Debug)]
struct CanonicalType {
    id: TypeId,
    /// Refers to other types by their ids.
    ty: SubType,
    entry: Entry,
    enter: CompileOnce,
    exit: CompileOnce,
}

/// A type of an engine, which this keeps alive.
#[derive(Clone, Debug)]
pub(crate) struct RegisteredType {
    group: Arc<RecGroup>,
    index: u32,
}

impl RecGroup {
    /// The group with this form; `others` are the types outside of it that it refers to.
    pub(super) fn intern(
        shared: &Arc<Shared>,
        key: Arc<[SubType]>,
        mut others: Vec<RegisteredType>,
    ) -> Arc<RecGroup> {
        others.sort_by_key(RegisteredType::id);
        others.dedup_by_key(|other| other.id());
        let mut inner = shared.inner();
        if let Some(group) = inner.groups.get(&key).and_then(Weak::upgrade) {
            drop(inner);
            // Only now, because dropping a type takes the lock.
            drop(others);
            return group;
        }
        let ids: Vec<TypeId> = key.iter().map(|ty| inner.take_id(&ty.composite)).collect();
        let mut types: Vec<CanonicalType> = Vec::with_capacity(key.len());
        for (relative, &id) in key.iter().zip(&ids) {
            let ty = relative.map(|index| match index & RELATIVE {
                0 => index,
                _ => ids[(index & !RELATIVE) as usize].0,
            });
            let supertypes = match relative.supertype {
                None => &[][..],
                // Supertypes come before their subtypes.
                Some(own) if own & RELATIVE != 0 => {
                    types[(own & !RELATIVE) as usize].entry.supertypes()
                }
                Some(id) => find(&others, TypeId(id)).expect("resolved").supertypes(),
            };
            let entry = Entry::new(supertypes, id, layout(&ty.composite));
            let (enter, exit) = Default::default();
            types.push(CanonicalType { id, ty, entry, enter, exit });
        }
        for ty in &types {
            shared.vm.set(ty.id, &ty.entry, &inner);
        }
        let group = Arc::new(RecGroup {
            shared: Arc::clone(shared),
            key: Arc::clone(&key),
            types: types.into(),
            others,
        });
        for (index, &id) in ids.iter().enumerate() {
            inner.members[table::place(id)] = Some((Arc::downgrade(&group), index as u32));
        }
        inner.groups.insert(key, Arc::downgrade(&group));
        group
    }

    /// One of its types.
    pub(crate) fn get(self: &Arc<RecGroup>, index: u32) -> RegisteredType {
        RegisteredType::new(Arc::clone(self), index)
    }
}

fn find(types: &[RegisteredType], id: TypeId) -> Option<&RegisteredType> {
    let place = types.binary_search_by_key(&id, RegisteredType::id).ok()?;
    Some(&types[place])
}

/// The layout of objects of a type; for a function type, of exceptions that carry its parameters.
fn layout(ty: &CompositeType) -> GcLayout {
    match ty {
        CompositeType::Func(ty) => GcLayout::Fields(FieldsLayout::of_exception(ty)),
        CompositeType::Struct(ty) => GcLayout::Fields(FieldsLayout::of_struct(ty)),
        CompositeType::Array(ty) => GcLayout::of_array(ty),
    }
}

impl Drop for RecGroup {
    fn drop(&mut self) {
        let mut inner = self.shared.inner();
        // A group of the same form may have been made meanwhile, when this one was no longer
        // available.
        if inner.groups.get(&self.key).is_some_and(|group| group.strong_count() == 0) {
            inner.groups.remove(&self.key);
        }
        for ty in &self.types {
            inner.give_id(ty.id);
        }
        drop(inner);
        // Types may refer to each other in a chain of any length, so there is no recursion along
        // it.
        let mut rest = std::mem::take(&mut self.others);
        while let Some(other) = rest.pop() {
            if let Some(mut group) = Arc::into_inner(other.group) {
                rest.append(&mut group.others);
            }
        }
    }
}

impl RegisteredType {
    pub(super) fn new(group: Arc<RecGroup>, index: u32) -> RegisteredType {
        RegisteredType { group, index }
    }

    fn canonical(&self) -> &CanonicalType {
        &self.group.types[self.index as usize]
    }

    /// Its id.
    pub(crate) fn id(&self) -> TypeId {
        self.canonical().id
    }

    /// The type; it refers to others by their ids.
    pub(crate) fn ty(&self) -> &SubType {
        &self.canonical().ty
    }

    /// A type that this one refers to.
    pub(crate) fn resolve(&self, id: u32) -> RegisteredType {
        let id = TypeId(id);
        let own = self.group.types.iter().position(|ty| ty.id == id);
        match own {
            Some(index) => self.group.get(index as u32),
            None => find(&self.group.others, id).expect("a type keeps what it refers to").clone(),
        }
    }

    /// The ids of its supertypes from the root on, its own last.
    fn supertypes(&self) -> &[u32] {
        self.canonical().entry.supertypes()
    }

    /// Whether it is `other` or refines it.
    pub(crate) fn is_subtype_of(&self, other: &RegisteredType) -> bool {
        let depth = other.supertypes().len();
        self.is_of(&other.group.shared) && self.supertypes().get(depth - 1) == Some(&other.id().0)
    }

    /// Whether it is alone in its group, final and without a supertype: then its form says all
    /// about it.
    pub(crate) fn is_plain(&self) -> bool {
        let ty = self.ty();
        let recursive = || {
            let mut found = false;
            ty.for_each_reference(|id| found |= id == self.id().0);
            found
        };
        self.group.types.len() == 1 && ty.is_final && ty.supertype.is_none() && !recursive()
    }

    pub(super) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.group.shared, shared)
    }

    /// The layout of objects of this type.
    pub(crate) fn layout(&self) -> &GcLayout {
        self.canonical().entry.layout()
    }

    fn func(&self) -> &FuncType {
        self.ty().as_func().expect("the type of a function")
    }

    /// The trampoline from the host into functions of this type.
    pub(crate) fn entry(&self, engine: &Engine) -> Result<EntryTrampoline> {
        let code = self.canonical().enter.get(|| {
            publish(engine, |scratch| engine.compiler().compile_entry(scratch, self.func()))
        })?;
        // SAFETY: that is what `compile_entry` makes; the code stays as long as the type, and every
        // function of this type keeps the type alive.
        Ok(unsafe { std::mem::transmute::<*const u8, EntryTrampoline>(code) })
    }

    /// The exit trampoline of host functions of this type.
    pub(crate) fn exit(&self, engine: &Engine) -> Result<*const u8> {
        let code = self.canonical().exit.get(|| {
            publish(engine, |scratch| engine.compiler().compile_exit(scratch, self.func()))
        })?;
        Ok(code)
    }
}

impl PartialEq for RegisteredType {
    fn eq(&self, other: &RegisteredType) -> bool {
        self.id() == other.id() && self.is_of(&other.group.shared)
    }
}

impl Eq for RegisteredType {}

/// Publishes a trampoline.
fn publish(
    engine: &Engine,
    compile: impl FnOnce(&mut CompileScratch) -> Result<CompiledFunction, CompileError>,
) -> Result<PublishedUnit, CompileError> {
    let mut unit = UnitBuilder::new();
    unit.push(engine.with_scratch(compile)?);
    unit.publish(engine.stubs(), 0)
}
