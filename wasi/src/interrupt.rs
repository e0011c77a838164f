//! Ending a guest that waits inside a WASI call.
//!
//! Epochs interrupt a guest that computes; a guest that waits for input or for a clock executes no
//! code. It waits in `ppoll(2)`, for what it wants and for an eventfd that becomes, and stays,
//! readable when the embedder calls [`InterruptHandle::interrupt`]. A guest nobody asked a handle
//! for pays nothing: it blocks in the call itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::error::{Abort, Error, Interrupted, Result};

/// Ends what a guest waits for, from any thread.
#[derive(Clone, Debug)]
pub struct InterruptHandle {
    event: Arc<OwnedFd>,
}

impl InterruptHandle {
    /// Makes every WASI call of the guest that waits, now or later, fail with
    /// [`Interrupted`], which ends the guest.
    ///
    /// It reaches waits in `poll_oneoff`, and reads, writes, accepts, receives and sends on the kernel's
    /// descriptors; not a reader or writer the embedder gave, and not what waited already when the
    /// handle was made.
    pub fn interrupt(&self) {
        // It can only fail when the count is full, and then the eventfd is readable already.
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }
}

/// The guest's side of its handles.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    event: OnceLock<Arc<OwnedFd>>,
}

impl Interrupt {
    pub(crate) fn handle(&self) -> io::Result<InterruptHandle> {
        if let Some(event) = self.event.get() {
            return Ok(InterruptHandle { event: Arc::clone(event) });
        }
        let fresh = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(InterruptHandle { event: Arc::clone(self.event.get_or_init(|| fresh)) })
    }

    /// The descriptor that becomes readable, if there is a handle.
    pub(crate) fn event(&self) -> Option<BorrowedFd<'_>> {
        self.event.get().map(|event| event.as_fd())
    }

    /// Waits until `fd` is ready for `events`, if the guest can be interrupted; if not, the system
    /// call that follows does the waiting.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags) -> Result<()> {
        let Some(event) = self.event() else {
            return Ok(());
        };
        let mut fds =
            [PollFd::from_borrowed_fd(fd, events), PollFd::from_borrowed_fd(event, PollFlags::IN)];
        loop {
            match poll(&mut fds, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !fds[1].revents().is_empty() {
            return Err(interrupted());
        }
        Ok(())
    }
}

/// What an interrupted call ends with.
pub(crate) fn interrupted() -> Error {
    Abort::Interrupted(Interrupted).into()
}
