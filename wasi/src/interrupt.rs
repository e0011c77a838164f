//! Ending a guest that is inside a WASI call.
//!
//! Epochs interrupt a guest that computes. A guest that waits for input or for a clock, or whose host does something
//! long, executes no code. A call can take time in three ways, and each can be ended:
//!
//! * It *waits*: in `ppoll(2)`, for its own event and for an eventfd, which becomes and stays readable when the
//!   embedder calls [`InterruptHandle::interrupt`].
//! * It *does something long in pieces*: it [checks](Interrupt::check) between them.
//! * It *makes a system call that takes long*: another thread makes that call [apart](Interrupt::apart).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use smallvec::SmallVec;

use crate::abi::Errno;
use crate::error::{Abort, Error, Interrupted, Result};

/// Ends a guest that waits, from any thread.
#[derive(Clone, Debug)]
pub struct InterruptHandle {
    signal: Arc<Signal>,
}

#[derive(Debug)]
struct Signal {
    /// Readable once the guest is interrupted.
    event: OwnedFd,
    /// The same, for calls that do not wait. Relaxed: it orders nothing else.
    raised: AtomicBool,
}

impl InterruptHandle {
    /// Makes every WASI call of the guest that waits or takes long, now or later, fail with [`Interrupted`], which ends
    /// the guest.
    ///
    /// It does not interrupt a reader, writer, clock or source of randomness of the embedder, nor calls that were
    /// already waiting when the handle was made. Work of a file system in one system call (for example freeing the
    /// space of a large file) is finished first; only `fd_sync` and `fd_datasync` continue without the guest.
    pub fn interrupt(&self) {
        self.signal.raised.store(true, Ordering::Relaxed);
        // This can fail only if the counter is full, and then the eventfd is already readable.
        let _ = rustix::io::write(&self.signal.event, &1_u64.to_ne_bytes());
    }
}

/// The guest's side of its handles.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    signal: OnceLock<Arc<Signal>>,
}

impl Interrupt {
    pub(crate) fn handle(&self) -> io::Result<InterruptHandle> {
        if let Some(signal) = self.signal.get() {
            return Ok(InterruptHandle { signal: Arc::clone(signal) });
        }
        let fresh = Signal { event: new_event()?, raised: AtomicBool::new(false) };
        let signal = self.signal.get_or_init(|| Arc::new(fresh));
        Ok(InterruptHandle { signal: Arc::clone(signal) })
    }

    /// The descriptor that becomes readable, if there is a handle.
    pub(crate) fn event(&self) -> Option<BorrowedFd<'_>> {
        self.signal.get().map(|signal| signal.event.as_fd())
    }

    /// Ends the call if the guest is interrupted: called before each piece of long work.
    pub(crate) fn check(&self) -> Result<()> {
        match self.signal.get() {
            Some(signal) if signal.raised.load(Ordering::Relaxed) => Err(interrupted()),
            _ => Ok(()),
        }
    }

    /// Waits until `fd` is ready for `events`.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, events: PollFlags) -> Result<()> {
        // A wait can end early.
        while !self.wait_for(Some((fd, events)), None)? {}
        Ok(())
    }

    /// Waits until `fd` is ready for `events`, at most for `longest`. Returns whether it is ready; false also after a
    /// host signal.
    pub(crate) fn wait_at_most(
        &self,
        fd: BorrowedFd<'_>,
        events: PollFlags,
        longest: Duration,
    ) -> Result<bool> {
        self.wait_for(Some((fd, events)), Some(longest))
    }

    /// Sleeps for `time`, which is short.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        self.wait_for(None, Some(time)).map(|_| ())
    }

    fn wait_for(
        &self,
        wanted: Option<(BorrowedFd<'_>, PollFlags)>,
        longest: Option<Duration>,
    ) -> Result<bool> {
        let wanted = wanted.map(|(fd, events)| PollFd::from_borrowed_fd(fd, events));
        let event = self.event().map(|event| PollFd::from_borrowed_fd(event, PollFlags::IN));
        let first_is_wanted = wanted.is_some();
        let mut fds: SmallVec<[_; 2]> = wanted.into_iter().chain(event).collect();
        let longest = longest.map(|longest| Timespec {
            tv_sec: longest.as_secs().cast_signed(),
            tv_nsec: i64::from(longest.subsec_nanos()),
        });
        match poll(&mut fds, longest.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return self.check().map(|()| false),
            Err(error) => return Err(error.into()),
        }
        let (wanted, event) = fds.split_at(usize::from(first_is_wanted));
        if event.iter().any(|fd| !fd.revents().is_empty()) {
            return Err(interrupted());
        }
        Ok(wanted.iter().any(|fd| !fd.revents().is_empty()))
    }

    /// Does `work`, a system call that may take long. If the guest can be interrupted, a thread of its own does it. An
    /// interrupted guest does not wait for that thread, which ends when the system call does.
    pub(crate) fn apart<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R> {
        if self.event().is_none() {
            return Ok(work());
        }
        self.check()?;
        let done = Arc::new(new_event()?);
        let (to_us, from_it) = mpsc::channel();
        let tell = Tell(Arc::clone(&done));
        thread::Builder::new().name("wasi-apart".to_owned()).spawn(move || {
            // Dropped also when the work panics, and after its result is stored.
            let _tell = tell;
            let _ = to_us.send(work());
        })?;
        self.wait(done.as_fd(), PollFlags::IN)?;
        from_it.recv().map_err(|_| Errno::Io.into())
    }
}

/// Makes an event readable when it is dropped.
struct Tell(Arc<OwnedFd>);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

fn new_event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// The error of an interrupted call.
pub(crate) fn interrupted() -> Error {
    Abort::Interrupted(Interrupted).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn work_apart_gives_its_result() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.apart(|| 7), Ok(7));
        let handle = interrupt.handle().unwrap();
        assert_eq!(interrupt.apart(|| 7), Ok(7));
        handle.interrupt();
        assert_eq!(interrupt.apart(|| 7), Err(interrupted()));
    }

    #[test]
    fn work_apart_is_left_behind() {
        let interrupt = Interrupt::default();
        let handle = interrupt.handle().unwrap();
        let (go_on, until) = mpsc::channel::<()>();
        let begin = Instant::now();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| interrupt.apart(move || until.recv().is_ok()));
            thread::sleep(Duration::from_millis(20));
            handle.interrupt();
            assert_eq!(waiting.join().unwrap(), Err(interrupted()));
        });
        assert!(begin.elapsed() < Duration::from_secs(60));
        drop(go_on);
    }

    #[test]
    fn who_does_not_wait_asks() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.check(), Ok(()));
        let handle = interrupt.handle().unwrap();
        assert_eq!(interrupt.check(), Ok(()));
        handle.interrupt();
        assert_eq!(interrupt.check(), Err(interrupted()));
        assert_eq!(interrupt.pause(Duration::from_secs(60)), Err(interrupted()));
    }
}
