//! Canonical types: equal types have equal ids within an engine.
//!
//! Types are equal when their recursion groups are equal part by part, where a reference inside the
//! group counts as a position in it (specification section 3.1.3, "Rolling and Unrolling"). So the
//! registry keeps whole groups ([`RecGroup`]), found by that form.
//!
//! A group lives as long as something refers to it: a module that declares it, a type of the API, a
//! host function, or another group. With it, its ids, its place in the table that compiled code
//! reads ([`table`]) and its trampolines are freed.

mod group;
mod table;

pub(crate) use group::{RecGroup, RegisteredType};

use group::RELATIVE;
use seqfault_jit::process::{ForkMutex, ForkMutexGuard};
use seqfault_jit::types::SubType;
use seqfault_jit::vm::VMTypes;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use table::TypeTable;

/// The id of a type within its engine: its place in the engine's table, and in the low bits its
/// kind ([`VMTypeKind`](seqfault_jit::vm::VMTypeKind)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct TypeId(pub(crate) u32);

/// The types that an engine knows.
#[derive(Debug, Default)]
pub(crate) struct TypeRegistry(Arc<Shared>);

/// What types and their engine share.
#[derive(Debug, Default)]
struct Shared {
    inner: ForkMutex<Inner>,
    vm: TypeTable,
}

#[derive(Debug, Default)]
struct Inner {
    groups: HashMap<Arc<[SubType]>, Weak<RecGroup>>,
    /// The type in each place of the table.
    members: Vec<Option<(Weak<RecGroup>, u32)>>,
    free: Vec<u32>,
}

impl TypeRegistry {
    /// Registers the types of a recursion group, `own`. `resolve` returns the type for each number
    /// in it that is not one of the group's own.
    pub(crate) fn intern_group<'a>(
        &self,
        types: impl Iterator<Item = &'a SubType>,
        own: std::ops::Range<u32>,
        resolve: impl Fn(u32) -> RegisteredType,
    ) -> Arc<RecGroup> {
        let mut others: Vec<RegisteredType> = Vec::new();
        let key: Arc<[SubType]> = types
            .map(|ty| {
                ty.map(|index| match own.contains(&index) {
                    true => RELATIVE | (index - own.start),
                    false => {
                        let other = resolve(index);
                        let id = other.id().0;
                        others.push(other);
                        id
                    }
                })
            })
            .collect();
        RecGroup::intern(&self.0, key, others)
    }

    /// A type that is alone in its group and refers to registered types by their ids.
    pub(crate) fn intern(
        &self,
        ty: &SubType,
        resolve: impl Fn(u32) -> RegisteredType,
    ) -> RegisteredType {
        RegisteredType::new(self.intern_group(std::iter::once(ty), 0..0, resolve), 0)
    }

    /// The type with this id, which must be alive.
    pub(crate) fn get(&self, id: TypeId) -> RegisteredType {
        let inner = self.0.inner();
        let member = inner.members[table::place(id)].as_ref();
        let (group, index) = member.expect("an id of a type that is held");
        RegisteredType::new(group.upgrade().expect("the type is held"), *index)
    }

    /// The table that compiled code reads.
    pub(crate) fn vm(&self) -> *const VMTypes {
        self.0.vm.vm()
    }

    /// Whether `ty` belongs to this registry.
    pub(crate) fn owns(&self, ty: &RegisteredType) -> bool {
        ty.is_of(&self.0)
    }

    /// How many types are alive.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.inner().members.iter().flatten().count()
    }
}

impl Shared {
    fn inner(&self) -> ForkMutexGuard<'_, Inner> {
        // A panic can happen only between complete changes.
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Module};

    const LIST: &str = "(module (rec
        (type $node (sub (struct (field i32) (field (ref null $list)))))
        (type $list (struct (field (ref null $node))))))";

    #[test]
    fn equal_groups_are_one_and_go_with_their_last_user() -> crate::Result<()> {
        let engine = Engine::default();
        let before = engine.types().count();
        let a = Module::new(&engine, LIST)?;
        let b = Module::new(&engine, LIST)?;
        assert_eq!(a.type_ids(), b.type_ids());
        assert_eq!(engine.types().count(), before + 2);
        drop(a);
        assert_eq!(engine.types().count(), before + 2);
        drop(b);
        assert_eq!(engine.types().count(), before);
        Ok(())
    }

    #[test]
    fn a_type_keeps_what_it_refers_to() -> crate::Result<()> {
        let engine = Engine::default();
        let text = "(module (type $s (struct)) (type $f (func (param (ref $s))))
            (func (export \"f\") (type $f)))";
        let module = Module::new(&engine, text)?;
        let ty = module.get_export("f").unwrap();
        drop(module);
        assert_eq!(engine.types().count(), 2);
        drop(ty);
        assert_eq!(engine.types().count(), 0);
        Ok(())
    }

    #[test]
    fn a_long_chain_of_types_is_dropped_without_recursion() -> crate::Result<()> {
        let engine = Engine::default();
        let mut text = String::from("(module (type $t0 (struct))");
        for index in 1..50_000 {
            text += &format!("(type $t{index} (struct (field (ref null $t{}))))", index - 1);
        }
        drop(Module::new(&engine, text + ")")?);
        assert_eq!(engine.types().count(), 0);
        Ok(())
    }
}
