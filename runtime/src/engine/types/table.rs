//! The table of types that compiled code and collectors read.
//!
//! It is written under the registry's lock and read without one. The reader of an entry has the id of a living type,
//! which it got after the entry was written. When the table grows, the old one stays: code on other threads may have
//! loaded its address.

use super::{Inner, TypeId};
use seqfault_jit::gc::{FieldsLayout, GcLayout};
use seqfault_jit::types::CompositeType;
use seqfault_jit::vm::{
    FORWARDED, HOST_OBJECT, MIN_DISPLAY, POISON_PLACE, TYPE_KIND_BITS, UNFINISHED_PLACE, VMType,
    VMTypeKind, VMTypes,
};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The place of a type in the table.
pub(super) fn place(id: TypeId) -> usize {
    (id.0 >> TYPE_KIND_BITS) as usize
}

/// The place that stands for host values and is never given to a type.
const HOST_OBJECT_PLACE: usize = (HOST_OBJECT >> TYPE_KIND_BITS) as usize;

/// The data to which the table refers for one type.
#[derive(Debug)]
pub(super) struct Entry {
    display: Box<[u32]>,
    depth: u32,
    layout: Box<GcLayout>,
}

impl Entry {
    /// For the type `id`; `supertypes` are those of its supertype.
    pub(super) fn new(supertypes: &[u32], id: TypeId, layout: GcLayout) -> Entry {
        let mut display = supertypes.to_vec();
        display.push(id.0);
        // The parser limits the depth to 63.
        let depth = display.len() as u32;
        display.resize(display.len().max(MIN_DISPLAY as usize), FORWARDED);
        Entry { display: display.into(), depth, layout: Box::new(layout) }
    }

    /// The ids of the type's supertypes from the root on, itself last.
    pub(super) fn supertypes(&self) -> &[u32] {
        &self.display[..self.depth as usize]
    }

    pub(super) fn layout(&self) -> &GcLayout {
        &self.layout
    }
}

/// The table, and those that were too small.
#[derive(Debug)]
pub(super) struct TypeTable {
    vm: VMTypes,
    /// Owned; compiled code sees their addresses.
    tables: Mutex<Vec<*mut [VMType]>>,
    #[allow(dead_code, reason = "the table points to it")]
    host_object: Box<GcLayout>,
    #[allow(dead_code, reason = "the table points to it")]
    unfinished: Box<GcLayout>,
}

// SAFETY: the pointers in the table lead to types that are immutable.
unsafe impl Send for TypeTable {}
// SAFETY: as above; entries are written under a lock, before any thread has their id.
unsafe impl Sync for TypeTable {}

/// Types that the first table has room for.
const FIRST: usize = 64;

/// Places that no type has, beside the first.
const RESERVED: [usize; 2] = [UNFINISHED_PLACE as usize, POISON_PLACE as usize];

const _: () = assert!(RESERVED[0] < FIRST && RESERVED[1] < FIRST, "every table has these places");

impl Default for TypeTable {
    fn default() -> TypeTable {
        // A host value is an index, in two words of the object.
        let size = seqfault_jit::gc::HEADER_SIZE + 8;
        let fields = FieldsLayout { size, offsets: Box::default(), references: Box::default() };
        let host_object = Box::new(GcLayout::Fields(fields));
        let unfinished = Box::new(GcLayout::Array { element_size: 1, is_gc: false });
        let mut table: Box<[VMType]> = vec![EMPTY; FIRST].into();
        let without_type = |layout| VMType { supertypes: NO_SUPERTYPES.as_ptr(), depth: 0, layout };
        table[HOST_OBJECT_PLACE] = without_type(&*host_object);
        table[UNFINISHED_PLACE as usize] = without_type(&*unfinished);
        let table = Box::into_raw(table);
        TypeTable {
            vm: VMTypes { types: AtomicPtr::new(table.cast()) },
            tables: Mutex::new(vec![table]),
            host_object,
            unfinished,
        }
    }
}

/// The display of objects without a type that a module can name. Casts look into it, as into any other.
static NO_SUPERTYPES: [u32; MIN_DISPLAY as usize] = [FORWARDED; MIN_DISPLAY as usize];

const EMPTY: VMType = VMType { supertypes: ptr::null(), depth: 0, layout: ptr::null() };

impl TypeTable {
    pub(super) fn vm(&self) -> *const VMTypes {
        &self.vm
    }

    /// Fills in a type. The lock of the registry is held.
    pub(super) fn set(&self, id: TypeId, entry: &Entry, _: &Inner) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(id);
        let mut table = *tables.last().expect("there is always one");
        if table.len() <= place {
            // SAFETY: owned by this, and written only under the lock.
            let old = unsafe { &*table };
            let mut larger = vec![EMPTY; (place + 1).next_power_of_two()];
            larger[..old.len()].copy_from_slice(old);
            table = Box::into_raw(larger.into_boxed_slice());
            tables.push(table);
        }
        let table: *mut VMType = table.cast();
        let (supertypes, layout) = (entry.display.as_ptr(), &raw const *entry.layout);
        // SAFETY: the table has this place, which no thread reads before it has the id.
        unsafe { table.add(place).write(VMType { supertypes, depth: entry.depth, layout }) };
        // Release: a thread that loads the address finds the table filled. Compiled code loads it plainly, ordered by
        // whatever gave it an id from the new table.
        self.vm.types.store(table, Ordering::Release);
    }
}

impl Drop for TypeTable {
    fn drop(&mut self) {
        for &table in self.tables.get_mut().unwrap_or_else(PoisonError::into_inner).iter() {
            // SAFETY: it came from a box, and no thread has an id to look up any more.
            drop(unsafe { Box::from_raw(table) });
        }
    }
}

impl Inner {
    /// An id that no living type has.
    pub(super) fn take_id(&mut self, ty: &CompositeType) -> TypeId {
        if self.members.is_empty() {
            self.members.push(None);
            debug_assert_eq!(self.members.len(), HOST_OBJECT_PLACE + 1);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            while RESERVED.contains(&self.members.len()) {
                self.members.push(None);
            }
            self.members.push(None);
            (self.members.len() - 1) as u32
        });
        // The top bit marks references inside groups, and one number stands for objects that have moved.
        assert!(place < 1 << (31 - TYPE_KIND_BITS), "an engine has fewer than 2^29 types");
        let kind = match ty {
            CompositeType::Func(_) => VMTypeKind::Func,
            CompositeType::Struct(_) => VMTypeKind::Struct,
            CompositeType::Array(_) => VMTypeKind::Array,
        };
        TypeId(place << TYPE_KIND_BITS | kind as u32)
    }

    /// Takes back the id of a type that was dropped.
    pub(super) fn give_id(&mut self, id: TypeId) {
        self.members[place(id)] = None;
        self.free.push(place(id) as u32);
    }
}
