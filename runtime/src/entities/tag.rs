//! [`Tag`]: distinguishes exceptions.

use crate::engine::RegisteredType;
use crate::error::{Error, Result};
use crate::fallible::{self, NoMemory};
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::types::{FuncType, TagType};
use seqfault_jit::vm::VMTag;
use std::ptr::NonNull;

/// A tag, in the store that it belongs to.
///
/// Two tags of the same type are different tags; see [`Tag::eq`].
#[derive(Clone, Copy, Debug)]
pub struct Tag {
    store: StoreId,
    cell: NonNull<VMTag>,
}

/// A store's data for a tag.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct TagCell {
    /// First: compiled code identifies the tag by the address of this field.
    vm: VMTag,
    ty: RegisteredType,
    references: Box<[usize]>,
}

/// The indices of the exception's values that are references into the heap.
///
/// # Safety
///
/// The tag's store must live as long as this is used.
pub(crate) unsafe fn references_of<'a>(tag: NonNull<VMTag>) -> &'a [usize] {
    // SAFETY: tags are in cells of their stores, which never change; the caller promises the rest.
    let cell = unsafe { tag.cast::<TagCell>().as_ref() };
    &cell.references
}

impl TagCell {
    /// A tag whose exceptions carry the parameters of this function type.
    pub(crate) fn new(ty: RegisteredType) -> Result<Box<TagCell>, NoMemory> {
        let params = ty.ty().as_func().expect("validated").params();
        let vm = VMTag { type_id: ty.id().0, values: params.len() as u32 };
        let references = params.iter().enumerate().filter(|(_, ty)| ty.is_gc());
        let references = references.map(|(index, _)| index).collect();
        fallible::boxed(TagCell { vm, ty, references })
    }
}

// SAFETY: the pointer is used only together with the store that owns what it leads to.
unsafe impl Send for Tag {}
// SAFETY: as above.
unsafe impl Sync for Tag {}

impl Tag {
    /// A new tag, which is equal to no other.
    ///
    /// # Errors
    ///
    /// When the type has results: exceptions carry parameters only.
    pub fn new(mut store: impl AsContextMut, ty: &TagType) -> Result<Tag> {
        if !ty.ty().results().is_empty() {
            return Err(Error::msg(format!("the type of a tag has no results: {}", ty.ty())));
        }
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let ty = ty.ty().register(store.engine());
        let cell = store.add_tag(TagCell::new(ty)?)?;
        Ok(Tag { store: store.id(), cell })
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> TagType {
        self.tag_type(store.as_context().opaque())
    }

    /// Whether both are the same tag.
    ///
    /// # Panics
    ///
    /// When one of them is of another store.
    pub fn eq(a: &Tag, b: &Tag, store: impl AsContext) -> bool {
        let store = store.as_context().opaque();
        a.cell(store) == b.cell(store)
    }

    /// The tag at an address, in this store.
    pub(crate) fn from_cell(store: &StoreOpaque, cell: NonNull<VMTag>) -> Tag {
        Tag { store: store.id(), cell }
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    /// The address that identifies the tag in compiled code.
    ///
    /// # Panics
    ///
    /// When it is of another store.
    pub(crate) fn cell(&self, store: &StoreOpaque) -> NonNull<VMTag> {
        store.check(self.store);
        self.cell
    }

    /// The function type whose parameters its exceptions carry.
    pub(crate) fn registered_type<'a>(&self, store: &'a StoreOpaque) -> &'a RegisteredType {
        // SAFETY: the store owns the target of the pointer, the first part of a cell that never
        // changes.
        unsafe { &self.cell(store).cast::<TagCell>().as_ref().ty }
    }

    pub(crate) fn tag_type(&self, store: &StoreOpaque) -> TagType {
        TagType::new(FuncType::registered(self.registered_type(store).clone()))
    }
}
