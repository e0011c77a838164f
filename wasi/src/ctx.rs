//! The state of one guest: arguments, environment, descriptors, clocks and randomness.

use std::io;
use std::sync::Arc;

use crate::clocks::WasiClocks;
use crate::interrupt::{Interrupt, InterruptHandle};
use crate::kernel;
use crate::random::Random;
use crate::table::Table;

/// The state behind a guest's WASI calls, made by a [`WasiCtxBuilder`](crate::WasiCtxBuilder).
///
/// A handle: clones share one state, so that several stores, such as those of the threads of one
/// guest, can use the same descriptors. All calls work on a shared reference. Each takes the locks
/// that it needs, and holds none while it waits for the host.
pub struct WasiCtx {
    /// Two reference counts: each clone has its own outer one. So when calls of one thread take a
    /// pin, they do not touch a cache line that other threads need.
    pinned: Arc<Pinned>,
}

/// Keeps the state alive during a call.
pub(crate) struct Pinned(Arc<State>);

/// The state that clones of a [`WasiCtx`] share.
pub(crate) struct State {
    pub(crate) args: Strings,
    pub(crate) env: Strings,
    pub(crate) table: Table,
    pub(crate) clocks: Box<dyn WasiClocks>,
    pub(crate) random: Random,
    pub(crate) interrupt: Interrupt,
    /// The process's limit on the size of files (`RLIMIT_FSIZE`).
    pub(crate) file_limit: u64,
    /// Whether a write that fails may end the process by a signal.
    pub(crate) writes_kill: bool,
}

impl State {
    /// Makes a system call that may write, or let a file grow. A signal that it raises does not end the process.
    pub(crate) fn writing<R>(&self, call: impl FnOnce() -> R) -> R {
        if self.writes_kill { kernel::without_signals(call) } else { call() }
    }
}

/// Strings in the form that a guest gets: an array of pointers, and the NUL-terminated bytes one
/// after the other.
#[derive(Default)]
pub(crate) struct Strings {
    /// All strings, each with its NUL.
    pub(crate) bytes: Vec<u8>,
    /// The offset of each string in `bytes`.
    pub(crate) starts: Vec<u32>,
}

impl WasiCtx {
    pub(crate) fn new(state: State) -> Self {
        Self { pinned: Arc::new(Pinned(Arc::new(state))) }
    }

    /// Keeps the state alive, so that the store that contains this context can be used meanwhile.
    pub(crate) fn pin(&self) -> Arc<Pinned> {
        Arc::clone(&self.pinned)
    }

    /// A handle that ends this guest when it waits in a WASI call.
    ///
    /// # Errors
    ///
    /// When the host cannot make an eventfd.
    pub fn interrupt_handle(&self) -> io::Result<InterruptHandle> {
        self.pinned.interrupt.handle()
    }
}

impl Clone for WasiCtx {
    fn clone(&self) -> Self {
        Self { pinned: Arc::new(Pinned(Arc::clone(&self.pinned.0))) }
    }
}

impl std::ops::Deref for Pinned {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl std::fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let State { args, env, .. } = &**self.pinned;
        f.debug_struct("WasiCtx").field("args", args).field("env", env).finish_non_exhaustive()
    }
}

impl Strings {
    /// Adds a string, which must not contain a NUL.
    pub(crate) fn push(&mut self, string: &str) -> Result<(), StringsTooLong> {
        self.starts.push(u32::try_from(self.bytes.len()).map_err(|_| StringsTooLong)?);
        self.bytes.extend_from_slice(string.as_bytes());
        self.bytes.push(0);
        Ok(())
    }
}

/// The strings do not fit into a 32-bit memory.
#[derive(Debug)]
pub(crate) struct StringsTooLong;

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strings = self.bytes.split(|&byte| byte == 0).take(self.starts.len());
        f.debug_list().entries(strings.map(String::from_utf8_lossy)).finish()
    }
}
