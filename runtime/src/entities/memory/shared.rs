//! [`SharedMemory`]: a linear memory that any number of threads use at once.

use super::data::Plan;
use super::{Expected, MemoryAccessError, MemoryData, WaitResult, Waited};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::trap::{Backtrace, Trap};
use crate::types::MemoryType;
use crate::vm;
use seqfault_mm::Access;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A linear memory that any number of threads use at once.
///
/// It belongs to no store: every store of its engine can import it, and it lives as long as one of
/// them or a clone of this. It never moves. Its maximum is reserved from the start; its pages take
/// up memory of the machine only when they are touched.
///
/// No slice of it can be made, because a slice would promise that its bytes do not change.
///
/// ```
/// use seqfault::{Engine, Linker, MemoryType, Module, SharedMemory, Store};
///
/// # fn main() -> seqfault::Result<()> {
/// let engine = Engine::default();
/// let memory = SharedMemory::new(&engine, MemoryType::shared(1, 10))?;
/// let module = Module::new(&engine, r#"
///     (module (import "env" "memory" (memory 1 10 shared))
///       (func (export "run") (i32.store (i32.const 0) (i32.const 42))))
/// "#)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut store = Store::new(&engine, ());
///         let mut linker = Linker::new(&engine);
///         linker.define(&store, "env", "memory", memory.clone())?;
///         let instance = linker.instantiate(&mut store, &module)?;
///         instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
///     }).join().expect("no panic")
/// })?;
/// let mut first = [0];
/// memory.read(0, &mut first)?;
/// assert_eq!(first, [42]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    engine: Engine,
    data: Arc<MemoryData>,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("type", &self.ty()).finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// A new memory.
    ///
    /// # Errors
    ///
    /// When `ty` is not shared or has no maximum, and when the system has no address space.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory> {
        if !ty.shared || ty.maximum.is_none() {
            return Err(Error::msg(format!("{ty} is not shared, or has no maximum")));
        }
        vm::check_signals(engine.config())?;
        let data = MemoryData::new(engine, Plan::new(engine.config(), ty)?, None)?;
        Ok(SharedMemory { engine: engine.clone(), data: Arc::new(data) })
    }

    pub(crate) fn from_data(engine: &Engine, data: &Arc<MemoryData>) -> SharedMemory {
        debug_assert!(data.ty().shared);
        SharedMemory { engine: engine.clone(), data: Arc::clone(data) }
    }

    pub(crate) fn data(&self) -> &Arc<MemoryData> {
        &self.data
    }

    /// The engine whose stores it can be imported into.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its type, as declared.
    pub fn ty(&self) -> MemoryType {
        self.data.ty()
    }

    /// Pages in it now, of the size that its type says. Takes no lock.
    pub fn size(&self) -> u64 {
        self.data.pages()
    }

    /// Bytes in a page of it.
    pub fn page_size(&self) -> u64 {
        self.ty().page_size()
    }

    /// Bytes in it now. Takes no lock.
    pub fn data_size(&self) -> usize {
        self.data.len()
    }

    /// Bytes of it that take up memory of the machine.
    pub fn resident(&self) -> usize {
        self.data.region().resident()
    }

    /// Its first byte. The contents may change at any time; pages that the host touches are faulted
    /// in like a guest's.
    pub fn data_ptr(&self) -> *mut u8 {
        self.data.base()
    }

    /// Grows it by `delta` pages; returns the old size in pages. Threads that use it see the new
    /// size at once, and are not stopped. While it grows, they may reach the new pages, which read
    /// zero, a moment before they see the new size.
    ///
    /// When a guest grows a memory, its store's limiter is asked. This function asks nobody.
    ///
    /// # Errors
    ///
    /// When its maximum or the system does not allow it.
    pub fn grow(&self, delta: u64) -> Result<u64> {
        let old = self.data.grow(delta, |_| Ok(true))?;
        old.ok_or_else(|| Error::msg(format!("the memory cannot grow by {delta} pages")))
    }

    /// Copies bytes from `offset` on into `buffer`. If other threads write them meanwhile, the
    /// result is a mixture of old and new bytes.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), MemoryAccessError> {
        self.data.read(offset, buffer)
    }

    /// Copies `buffer` to `offset`.
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn write(&self, offset: usize, buffer: &[u8]) -> Result<(), MemoryAccessError> {
        self.data.write(offset, buffer)
    }

    /// As [`Memory::fault_in`](crate::Memory::fault_in).
    ///
    /// # Errors
    ///
    /// When the range is not inside, or a page of it cannot be made present.
    pub fn fault_in(&self, range: Range<usize>, access: Access) -> Result<(), MemoryAccessError> {
        self.data.fault_in(range, access)
    }

    /// As [`Memory::discard`](crate::Memory::discard). Accesses that race with it see old bytes or
    /// zero.
    ///
    /// # Errors
    ///
    /// When the range is not inside or not whole pages, or the system refuses.
    pub fn discard(&self, range: Range<usize>) -> Result<(), MemoryAccessError> {
        self.data.discard(range)
    }

    /// `memory.atomic.notify`: wakes at most `count` waiters at byte `addr`. Returns how many were
    /// woken.
    ///
    /// # Errors
    ///
    /// The trap that a guest would get, when `addr` is outside or no multiple of 4, or the memory belongs to the parent
    /// process.
    pub fn atomic_notify(&self, addr: u64, count: u32) -> Result<u32, Trap> {
        self.data.notify(None, addr, 0, count).map_err(trap)
    }

    /// `memory.atomic.wait32`: if the 4 bytes at `addr` are `expected`, waits until it is notified,
    /// or for `timeout`.
    ///
    /// The calling thread belongs to no store, so nothing interrupts it.
    ///
    /// # Errors
    ///
    /// The trap that a guest would get, when `addr` is outside or no multiple of 4, or its page
    /// cannot be made present, for instance because the memory belongs to the parent process.
    pub fn atomic_wait32(
        &self,
        addr: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        self.wait(addr, Expected::U32(expected), timeout)
    }

    /// `memory.atomic.wait64`: as [`atomic_wait32`](Self::atomic_wait32), for 8 bytes.
    ///
    /// # Errors
    ///
    /// The trap that a guest would get, when `addr` is outside or no multiple of 8, or its page
    /// cannot be made present, for instance because the memory belongs to the parent process.
    pub fn atomic_wait64(
        &self,
        addr: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        self.wait(addr, Expected::U64(expected), timeout)
    }

    fn wait(
        &self,
        addr: u64,
        expected: Expected,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match self.data.wait(None, addr, 0, expected, deadline, None).map_err(trap)? {
            Waited::Done(result) => Ok(result),
            Waited::Interrupted => unreachable!("only threads of stores are interrupted"),
        }
    }
}

/// A trap for an access by the host, which happened in no function.
fn trap(error: Error) -> Trap {
    Trap::of(&error, Backtrace::default).expect("such accesses fail in no other way")
}
