//! `poll_oneoff`: waiting for clocks and descriptors.
//!
//! One `ppoll(2)` waits for everything: the kernel's descriptors directly, the earliest clock as
//! the timeout, and, if the embedder has an [`InterruptHandle`](crate::InterruptHandle), the event
//! that interrupts. If something cannot be waited for (a descriptor that is not open, a clock that
//! does not exist), its subscription gets an event with the error at once.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::abi::{ClockSubscription, Errno, Event, EventKind, Rights, Subscription};
use crate::clocks::ClockId;
use crate::ctx::State;
use crate::descriptor::{Descriptor, Object};
use crate::error::Result;
use crate::guest::GuestPtr;
use crate::interrupt::interrupted;
use crate::memory::GuestMemory;

/// The most subscriptions that one call takes; poll(2) has such a limit, too, with the same error.
const MAX_SUBSCRIPTIONS: u32 = 1 << 16;

/// How much a writable pipe takes without blocking (PIPE_BUF): the only thing that is known.
const WRITABLE_AT_LEAST: u64 = 4096;

/// Waits until something subscribed to happens, and writes what did.
pub(crate) fn poll_oneoff(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    subscriptions: GuestPtr<Subscription>,
    events: GuestPtr<Event>,
    count: u32,
    nevents: GuestPtr<u32>,
) -> Result<()> {
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval.into());
    }
    subscriptions.aligned()?;
    events.aligned()?;
    let mut wait = Wait::default();
    for index in 0..count {
        let bytes = memory.load(subscriptions.nth(index)?)?;
        let (userdata, what) = Subscription::decode(&bytes)?;
        wait.add(ctx, userdata, what);
    }
    let happened = wait.run(ctx)?;
    for (index, event) in (0..).zip(&happened) {
        memory.store(events.nth(index)?, event)?;
    }
    memory.store(nevents, &(happened.len() as u32))
}

/// Everything that is waited for.
#[derive(Default)]
struct Wait {
    /// Events that need no waiting.
    at_once: Vec<Event>,
    clocks: Vec<Timeout>,
    descriptors: Vec<Interest>,
}

struct Timeout {
    userdata: u64,
    left: Duration,
}

struct Interest {
    userdata: u64,
    kind: EventKind,
    descriptor: Arc<Descriptor>,
}

impl Wait {
    fn add(&mut self, ctx: &State, userdata: u64, what: Subscription) {
        let result = match what {
            Subscription::Clock(clock) => self.add_clock(ctx, userdata, clock),
            Subscription::FdRead(fd) => self.add_fd(ctx, userdata, EventKind::FdRead, fd),
            Subscription::FdWrite(fd) => self.add_fd(ctx, userdata, EventKind::FdWrite, fd),
        };
        if let Err(error) = result {
            let kind = match what {
                Subscription::Clock(_) => EventKind::Clock,
                Subscription::FdRead(_) => EventKind::FdRead,
                Subscription::FdWrite(_) => EventKind::FdWrite,
            };
            self.at_once.push(Event { userdata, error, kind, nbytes: 0, hangup: false });
        }
    }

    fn add_clock(
        &mut self,
        ctx: &State,
        userdata: u64,
        clock: ClockSubscription,
    ) -> Result<(), Errno> {
        let timeout = Duration::from_nanos(clock.timeout);
        let now = ctx.clocks.now(ClockId::new(clock.clock)?)?;
        let left = if clock.absolute { timeout.saturating_sub(now) } else { timeout };
        self.clocks.push(Timeout { userdata, left });
        Ok(())
    }

    fn add_fd(
        &mut self,
        ctx: &State,
        userdata: u64,
        kind: EventKind,
        fd: u32,
    ) -> Result<(), Errno> {
        let descriptor = ctx.table.get(fd)?;
        let transfer = match kind {
            EventKind::FdWrite => Rights::FD_WRITE,
            _ => Rights::FD_READ,
        };
        descriptor.require(Rights::POLL_FD_READWRITE)?;
        descriptor.require(transfer)?;
        match descriptor.object {
            Object::File(_) => self.descriptors.push(Interest { userdata, kind, descriptor }),
            // An embedder's streams cannot be asked; like files, they count as ready.
            _ => self.at_once.push(ready(userdata, kind, WRITABLE_AT_LEAST, false)),
        }
        Ok(())
    }

    fn run(self, ctx: &State) -> Result<Vec<Event>> {
        let begin = Instant::now();
        let first = self.clocks.iter().map(|clock| clock.left).min();
        let mut fds = Vec::with_capacity(self.descriptors.len() + 1);
        for Interest { kind, descriptor, .. } in &self.descriptors {
            let flags = if *kind == EventKind::FdWrite { PollFlags::OUT } else { PollFlags::IN };
            let fd = descriptor.host_fd().expect("only descriptors of the kernel's are kept");
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        if let Some(event) = ctx.interrupt.event() {
            fds.push(PollFd::from_borrowed_fd(event, PollFlags::IN));
        }

        let mut events = self.at_once;
        // If there are events already, the call does not wait, but still checks for others.
        let longest = if events.is_empty() { first } else { Some(Duration::ZERO) };
        let mut passed = sleep(ctx, &mut fds, begin, longest)?;
        if ctx.interrupt.event().is_some() && fds.pop().is_some_and(|fd| !fd.revents().is_empty()) {
            return Err(interrupted());
        }
        for (interest, fd) in self.descriptors.iter().zip(&fds) {
            if !fd.revents().is_empty() {
                events.push(interest.event(fd.revents()));
            }
        }
        // Time has passed during the check: a clock that is due by now counts, too.
        passed = passed.max(begin.elapsed());
        for clock in self.clocks.iter().filter(|clock| clock.left <= passed) {
            events.push(ready(clock.userdata, EventKind::Clock, 0, false));
        }
        Ok(events)
    }
}

/// Waits for `fds`, at most for `longest`. Returns the time that has passed.
fn sleep(
    ctx: &State,
    fds: &mut [PollFd<'_>],
    begin: Instant,
    longest: Option<Duration>,
) -> Result<Duration> {
    if let Some(wait) = longest.filter(|wait| !wait.is_zero()) {
        // An embedder's clocks may skip the time, if nothing is ready yet.
        if wait_once(fds, Some(Duration::ZERO))? > 0 {
            return Ok(Duration::ZERO);
        }
        if ctx.clocks.skip(wait) {
            return Ok(wait);
        }
    }
    loop {
        let left = longest.map(|longest| longest.saturating_sub(begin.elapsed()));
        let over = left.is_some_and(|left| left.is_zero());
        // A host signal ends a wait early, and a timeout that is too long to express is shortened:
        // wait again.
        if wait_once(fds, left)? > 0 || over {
            return Ok(begin.elapsed());
        }
    }
}

/// Waits once. Returns how many descriptors are ready, which is 0 also after a signal.
fn wait_once(fds: &mut [PollFd<'_>], longest: Option<Duration>) -> Result<usize> {
    // A year serves for any longer time: the caller waits again.
    const YEAR: Duration = Duration::from_secs(365 * 86400);
    let timeout = longest.map(|longest| {
        let longest = longest.min(YEAR);
        Timespec {
            tv_sec: longest.as_secs().cast_signed(),
            tv_nsec: i64::from(longest.subsec_nanos()),
        }
    });
    match poll(fds, timeout.as_ref()) {
        Ok(count) => Ok(count),
        Err(rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

impl Interest {
    fn event(&self, revents: PollFlags) -> Event {
        let nbytes = match (self.kind, self.descriptor.host_fd()) {
            (EventKind::FdRead, Some(fd)) => readable(fd),
            _ => WRITABLE_AT_LEAST,
        };
        ready(self.userdata, self.kind, nbytes, revents.contains(PollFlags::HUP))
    }
}

/// Bytes that can be read without waiting; zero if the host does not say, and at the end of a file.
fn readable(fd: BorrowedFd<'_>) -> u64 {
    rustix::io::ioctl_fionread(fd).unwrap_or(0)
}

fn ready(userdata: u64, kind: EventKind, nbytes: u64, hangup: bool) -> Event {
    Event { userdata, error: Errno::Success, kind, nbytes, hangup }
}
