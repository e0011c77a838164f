//! The signal handler: classify, resolve, stop a copy, ask the hook, or chain.
//!
//! # Rules for everything in here
//!
//! Nothing allocates, panics, formats, or takes a lock that the interrupted thread may hold. (The writer lock of a
//! region detects a thread that already holds it.) Thread-local words have no destructor. `errno` is kept. All signals
//! are blocked while the handler runs, even when another handler calls it, so no other handler can touch guest memory
//! between a claim and its publication.

mod chain;
mod copies;
mod install;
mod newcomer;
mod placing;
mod predecessors;
mod progress;
#[cfg(test)]
mod tests;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

pub(crate) use copies::next_handler;
pub(crate) use install::check_handlers;
pub use install::{DisplacedHandlers, check, install, was_bypassed};

use crate::arch::{self, Cause};
use crate::space::Outcome;
use crate::{Fault, FaultKind, copy, process, registry, stack};

/// The signals that an access, an instruction or a division can raise.
pub(crate) const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What a [`Hook`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The context is rewritten: the thread continues there.
    Handled,
    /// The signal is not the upper layer's: the previous handler gets it, as the kernel would have called it.
    NotOurs,
}

/// The upper layer's handler for signals that no page resolves: all SIGILL and SIGFPE, and each SIGSEGV and SIGBUS that
/// is not a first touch.
///
/// # Safety
/// Called in a signal handler: it must be async-signal-safe, must not unwind, and must not touch guest memory.
pub type Hook = unsafe fn(&mut Signal<'_>) -> Disposition;

/// A signal, as the hook sees it.
pub struct Signal<'a> {
    /// `SIGSEGV`, `SIGBUS`, `SIGILL` or `SIGFPE`.
    pub signo: i32,
    /// Set when the address is in a region and a validated snapshot denies the access.
    pub fault: Option<Fault>,
    /// The number of the entry point that was called.
    entry: usize,
    info: &'a siginfo_t,
    context: &'a mut ucontext_t,
}

impl std::fmt::Debug for Signal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signal")
            .field("signo", &self.signo)
            .field("fault", &self.fault)
            .field("pc", &self.pc())
            .finish_non_exhaustive()
    }
}

impl Signal<'_> {
    /// The address that the kernel reports: that of the access for SIGSEGV and SIGBUS, that of the instruction for the
    /// others. Zero if a process sent the signal.
    pub fn addr(&self) -> usize {
        // SAFETY: for a signal by the kernel the union holds an address; otherwise it is not read.
        if self.by_kernel() { unsafe { self.info.si_addr() }.addr() } else { 0 }
    }

    /// Whether the kernel made the signal for something that this thread did; false if a process sent it.
    pub fn by_kernel(&self) -> bool {
        self.info.si_code > 0
    }

    /// The `si_code`.
    pub fn code(&self) -> i32 {
        self.info.si_code
    }

    /// Program counter.
    pub fn pc(&self) -> usize {
        arch::pc(self.context)
    }

    /// Stack pointer.
    pub fn sp(&self) -> usize {
        arch::sp(self.context)
    }

    /// Frame pointer.
    pub fn fp(&self) -> usize {
        arch::fp(self.context)
    }

    /// Continues at `pc`.
    pub fn set_pc(&mut self, pc: usize) {
        arch::set_pc(self.context, pc);
    }

    /// Continues with stack pointer `sp`.
    pub fn set_sp(&mut self, sp: usize) {
        arch::set_sp(self.context, sp);
    }

    /// Continues with frame pointer `fp`.
    pub fn set_fp(&mut self, fp: usize) {
        arch::set_fp(self.context, fp);
    }

    /// Makes the thread continue at `pc`, on stack `sp`, with integer arguments (six at most) by the C convention.
    ///
    /// No return address is pushed and `sp` is used as it is: code that expects to be called wants
    /// `sp % 16 == 8` on x86-64.
    pub fn redirect<const N: usize>(&mut self, pc: usize, sp: usize, args: [u64; N]) {
        self.set_pc(pc);
        self.set_sp(sp);
        arch::set_args(self.context, args);
    }

    /// The whole context, for registers that have no accessor.
    pub fn context(&mut self) -> &mut ucontext_t {
        self.context
    }
}

/// The handler of all four signals. All of `arch::SIGNAL_ENTRIES` call it; `entry` says which one did.
///
/// If another handler calls it instead of the kernel, some signals may not be blocked yet.
pub(crate) extern "C" fn handler(
    signo: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
    by_kernel: bool,
    entry: usize,
) {
    // SAFETY: the location is the calling thread's own.
    let errno = unsafe { *libc::__errno_location() };
    let open = if by_kernel {
        None
    } else {
        install::note_bypass();
        stack::block_signals()
    };
    // SAFETY: SA_SIGINFO: the kernel passes valid, exclusive structures that live as long as this call.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    let mut signal = Signal { signo, fault: None, entry, info, context };
    if !resolve(&mut signal) && ask_hook(&mut signal) == Disposition::NotOurs {
        chain::chain(&mut signal);
    }
    if let Some(open) = open {
        stack::set_mask(&open);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Makes the page present, or stops the copy. If neither is possible, and the address is in a region, sets `fault`.
fn resolve(signal: &mut Signal<'_>) -> bool {
    if !is_page_fault(signal) {
        return false;
    }
    let addr = signal.addr();
    // Without a process there are no regions.
    let Some(process) = process::get() else { return false };
    let reading = process.pool.readers().enter();
    let Some(record) = registry::find(addr, &reading) else { return false };
    let kind = match arch::cause(signal.context) {
        Cause::Fetch => FaultKind::Protection,
        Cause::Data(access) => {
            match record.handle_fault(addr, access, &reading) {
                Outcome::Resolved => {
                    progress::made();
                    return true;
                }
                Outcome::Claimed => {
                    progress::wait(signal.pc(), addr);
                    return true;
                }
                Outcome::Present => return progress::is_likely(signal.pc(), addr),
                // Decided by then.
                Outcome::NotOurs | Outcome::NoRoom => return false,
                Outcome::Denied(kind) => kind,
            }
        }
    };
    let fault = Fault { kind, offset: addr.wrapping_sub(record.space.base()), addr };
    signal.fault = Some(fault);
    copy::stop(signal.context, &fault)
}

/// Whether making a page present could resolve the signal: a load or a store that found no mapping, or one that forbids
/// it.
fn is_page_fault(signal: &Signal<'_>) -> bool {
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    match signal.signo {
        libc::SIGSEGV => matches!(signal.code(), SEGV_MAPERR | SEGV_ACCERR),
        libc::SIGBUS => signal.code() == libc::BUS_ADRERR,
        _ => false,
    }
}

fn ask_hook(signal: &mut Signal<'_>) -> Disposition {
    match install::hook() {
        // SAFETY: whoever installed the hook promised that it may be called here.
        Some(hook) => unsafe { hook(signal) },
        None => Disposition::NotOurs,
    }
}
