//! [`CodeUnit`]: code that was published together, and its tables.

use super::arena::{CodeArena, Room};
use super::handlers::{HandlerTable, HandlersOfCall};
use crate::compile::CompiledFunction;
use crate::error::CompileError;
use crate::trap::TrapCode;
use std::borrow::Cow;

/// Code that was published together, with what is known about its addresses.
///
/// It is complete before it is published and never changes. So the look-ups allocate nothing, take
/// no lock, and may be used in a signal handler.
#[derive(Debug)]
pub struct CodeUnit {
    start: usize,
    /// By offset.
    functions: Box<[FunctionRange]>,
    /// By offset.
    traps: Box<[(u32, TrapCode)]>,
    /// By offset. From this offset on, code was compiled from this offset of the module.
    addresses: Box<[(u32, u32)]>,
    handlers: HandlerTable,
    /// By the offset of a call's return address: where its references begin in `references`, and
    /// how many there are.
    stack_maps: Box<[(u32, u32, u32)]>,
    references: Box<[u32]>,
    owner: usize,
}

/// The position of one function's code in its unit.
#[derive(Clone, Copy, Debug)]
pub struct FunctionRange {
    /// First byte, from the start of the unit.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
    /// What it is.
    pub kind: CodeKind,
}

/// What the code of one function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// The function with this index in its module.
    Function(u32),
    /// The trampoline into wasm for one function type. During its call, its frame holds a pointer
    /// to the [`VMStoreContext`](crate::vm::VMStoreContext) of the store that it has entered.
    Entry {
        /// How many bytes below the frame pointer that pointer is.
        store_below_fp: u32,
    },
    /// The trampoline from wasm to the host for one function type.
    Exit,
}

/// For code that no offset of the module is known for.
const NO_ADDRESS: u32 = u32::MAX;

impl CodeUnit {
    /// The owner, as given to [`UnitBuilder::publish`].
    pub fn owner(&self) -> usize {
        self.owner
    }

    /// The address of the first byte.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The function that the code at `pc` belongs to.
    pub fn function_at(&self, pc: usize) -> Option<FunctionRange> {
        let offset = self.offset(pc)?;
        let after = self.functions.partition_point(|function| function.offset <= offset);
        let function = self.functions[after.checked_sub(1)?];
        (offset - function.offset < function.len).then_some(function)
    }

    /// Why the instruction at `pc` traps, if it can.
    pub fn trap_at(&self, pc: usize) -> Option<TrapCode> {
        let offset = self.offset(pc)?;
        let at = self.traps.binary_search_by_key(&offset, |trap| trap.0).ok()?;
        Some(self.traps[at].1)
    }

    /// The byte offset in the module from which the code at `pc` was compiled.
    pub fn module_offset_at(&self, pc: usize) -> Option<u32> {
        let offset = self.offset(pc)?;
        let after = self.addresses.partition_point(|address| address.0 <= offset);
        let (_, module_offset) = self.addresses[after.checked_sub(1)?];
        (module_offset != NO_ADDRESS).then_some(module_offset)
    }

    /// The handlers of the call that returns to `pc`, if it has any.
    pub fn handlers_at(&self, pc: usize) -> Option<HandlersOfCall<'_>> {
        self.handlers.at(self.offset(pc)?)
    }

    /// The address at an offset such as [`Handler::code`](super::Handler::code).
    pub fn address(&self, offset: u32) -> usize {
        self.start + offset as usize
    }

    /// The references into the heap in a frame whose call returns to `pc`: how many bytes below its
    /// frame pointer each is.
    pub fn references_at(&self, pc: usize) -> &[u32] {
        let find = |offset| self.stack_maps.binary_search_by_key(&offset, |map| map.0).ok();
        match self.offset(pc).and_then(find) {
            None => &[],
            Some(at) => {
                let (_, first, count) = self.stack_maps[at];
                &self.references[first as usize..][..count as usize]
            }
        }
    }

    fn offset(&self, pc: usize) -> Option<u32> {
        u32::try_from(pc.checked_sub(self.start)?).ok()
    }
}

/// Collects compiled functions to publish them together.
#[derive(Debug, Default)]
pub struct UnitBuilder {
    functions: Vec<CompiledFunction>,
    size: usize,
}

/// Where a function starts within its unit.
const FUNCTION_ALIGN: usize = 16;

impl UnitBuilder {
    /// An empty unit.
    pub fn new() -> UnitBuilder {
        UnitBuilder::default()
    }

    /// Adds a function.
    pub fn push(&mut self, compiled: CompiledFunction) {
        self.size = self.size.next_multiple_of(FUNCTION_ALIGN) + compiled.code.len();
        self.functions.push(compiled);
    }

    /// Bytes of code so far.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Puts the code in `arena`, where it can run. [`CodeUnit::owner`] will return `owner`.
    ///
    /// # Errors
    ///
    /// [`CompileError::CodeSpace`] when no room is left.
    pub fn publish(self, arena: &CodeArena, owner: usize) -> Result<PublishedUnit, CompileError> {
        let room = arena.put(&self.text())?;
        let mut functions = Vec::with_capacity(self.functions.len());
        let mut traps = Vec::new();
        let mut addresses = Vec::new();
        let mut stack_maps = Vec::new();
        let mut references: Vec<u32> = Vec::new();
        let mut at = 0;
        for compiled in &self.functions {
            at = usize::next_multiple_of(at, FUNCTION_ALIGN);
            // The code space is smaller than 4 GiB, so offsets within it fit.
            let (offset, len) = (at as u32, compiled.code.len() as u32);
            functions.push(FunctionRange { offset, len, kind: compiled.kind });
            traps.extend(compiled.traps.iter().map(|&(site, code)| (offset + site, code)));
            for &(site, address) in &compiled.addresses {
                addresses.push((offset + site, address.unwrap_or(NO_ADDRESS)));
            }
            for (site, places) in &compiled.stack_maps {
                // A function's frame is smaller than 4 GiB, and so is the code of a unit.
                stack_maps.push((offset + site, references.len() as u32, places.len() as u32));
                references.extend_from_slice(places);
            }
            at += compiled.code.len();
        }
        let handlers = HandlerTable::new(
            functions.iter().zip(&self.functions).map(|(r, f)| (r.offset, &*f.handled_calls)),
        );
        let unit = CodeUnit {
            start: room.start(),
            functions: functions.into(),
            traps: traps.into(),
            addresses: addresses.into(),
            handlers,
            stack_maps: stack_maps.into(),
            references: references.into(),
            owner,
        };
        Ok(PublishedUnit::new(unit, room))
    }

    /// The bytes of all functions, each at its offset.
    fn text(&self) -> Cow<'_, [u8]> {
        if let [only] = &self.functions[..] {
            return Cow::Borrowed(&only.code);
        }
        let mut text = Vec::with_capacity(self.size);
        for compiled in &self.functions {
            text.resize(text.len().next_multiple_of(FUNCTION_ALIGN), 0);
            text.extend_from_slice(&compiled.code);
        }
        Cow::Owned(text)
    }
}

/// Code that can run. It is freed when dropped, so it must outlive every use of its addresses.
#[derive(Debug)]
pub struct PublishedUnit {
    // A raw pointer, because the chunk refers to it as well.
    unit: *mut CodeUnit,
    /// Keeps the chunk in which the unit is found.
    room: Room,
}

impl PublishedUnit {
    pub(super) fn new(unit: CodeUnit, room: Room) -> PublishedUnit {
        let unit = Box::into_raw(Box::new(unit));
        room.chunk.set_unit(&room.part, unit);
        PublishedUnit { unit, room }
    }

    /// A unit for code that neither traps nor has frames.
    pub(super) fn without_tables(room: Room, owner: usize) -> PublishedUnit {
        let start = room.start();
        let none = CodeUnit {
            start,
            functions: Box::default(),
            traps: Box::default(),
            addresses: Box::default(),
            handlers: HandlerTable::default(),
            stack_maps: Box::default(),
            references: Box::default(),
            owner,
        };
        PublishedUnit::new(none, room)
    }

    /// What is known about the unit's addresses.
    pub fn unit(&self) -> &CodeUnit {
        // SAFETY: allocated in `new`, freed in `drop`, never written in between.
        unsafe { &*self.unit }
    }

    /// The address of the first byte.
    pub fn start(&self) -> *const u8 {
        self.room.start() as *const u8
    }

    /// The address of each function, in the order in which they were pushed.
    pub fn function_starts(&self) -> impl ExactSizeIterator<Item = *const u8> {
        let start = self.start();
        self.unit()
            .functions
            .iter()
            .map(move |function| start.wrapping_add(function.offset as usize))
    }
}

impl Drop for PublishedUnit {
    fn drop(&mut self) {
        self.room.chunk.set_unit(&self.room.part, std::ptr::null_mut());
        // SAFETY: allocated in `new`; the chunk does not refer to it any more, and the code that
        // drops the owner promises that no thread runs in it.
        drop(unsafe { Box::from_raw(self.unit) });
    }
}

// SAFETY: the unit is immutable and owned; the room is owned.
unsafe impl Send for PublishedUnit {}
// SAFETY: as above; all access through a shared reference is reading.
unsafe impl Sync for PublishedUnit {}
