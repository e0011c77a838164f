//! What several tests need: raw accesses that report a denial, random numbers, the time to spend.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod child;
pub(crate) mod forked;

use std::os::unix::fs::FileExt;
use std::time::Duration;

use seqfault_mm::signal::{self, Disposition, Signal};
use seqfault_mm::{FaultKind, PAGE_SIZE, PagerKind, RegionOptions};

// A load and a store that the hook below can make return: like code of a compiler that relies on traps.
std::arch::global_asm!(
    ".globl seqfault_test_load",
    "seqfault_test_load:",
    "    mov rax, qword ptr [rdi]",
    "    xor edx, edx",
    "    ret",
    ".globl seqfault_test_store",
    "seqfault_test_store:",
    "    mov qword ptr [rdi], rsi",
    "    xor eax, eax",
    "    xor edx, edx",
    "    ret",
    ".globl seqfault_test_denied",
    "seqfault_test_denied:",
    "    mov rax, rdi",
    "    mov rdx, rsi",
    "    ret",
);

#[repr(C)]
struct Answer {
    value: u64,
    denial: u64,
}

unsafe extern "C" {
    fn seqfault_test_load(addr: *const u8) -> Answer;
    fn seqfault_test_store(addr: *mut u8, value: u64) -> Answer;
    fn seqfault_test_denied();
}

/// Installs the hook and an alternate stack for this thread.
pub(crate) fn prepare() {
    signal::install(hook).unwrap();
    seqfault_mm::prepare_thread().unwrap();
}

unsafe fn hook(signal: &mut Signal<'_>) -> Disposition {
    let starts = [seqfault_test_load as *const (), seqfault_test_store as *const ()];
    let Some(fault) = signal.fault else { return Disposition::NotOurs };
    if !starts.iter().any(|start| start.addr() == signal.pc()) {
        return Disposition::NotOurs;
    }
    let sp = signal.sp();
    let kind = match fault.kind {
        FaultKind::OutOfBounds => 1,
        FaultKind::Protection => 2,
        FaultKind::ResidentLimit => 3,
        _ => 4,
    };
    signal.redirect((seqfault_test_denied as *const ()).addr(), sp, [fault.offset as u64, kind]);
    Disposition::Handled
}

fn answer(answer: Answer) -> Result<u64, FaultKind> {
    match answer.denial {
        0 => Ok(answer.value),
        1 => Err(FaultKind::OutOfBounds),
        2 => Err(FaultKind::Protection),
        3 => Err(FaultKind::ResidentLimit),
        _ => Err(FaultKind::OutOfMemory),
    }
}

/// A load without any check before it.
///
/// # Safety
/// `addr` is in a region, guard included.
pub(crate) unsafe fn load(addr: *const u8) -> Result<u64, FaultKind> {
    // SAFETY: the access is resolved, or the hook makes the routine return.
    answer(unsafe { seqfault_test_load(addr) })
}

/// A store without any check before it.
///
/// # Safety
/// As for [`load`], and no Rust object is there.
pub(crate) unsafe fn store(addr: *mut u8, value: u64) -> Result<(), FaultKind> {
    // SAFETY: as in `load`.
    answer(unsafe { seqfault_test_store(addr, value) }).map(drop)
}

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound
    }
}

/// How long a stress test runs: `SEQFAULT_STRESS_SECS`, or a short while.
pub(crate) fn stress_time() -> Duration {
    let seconds = std::env::var("SEQFAULT_STRESS_SECS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Whether the host lets us use a pager.
pub(crate) fn available(pager: PagerKind) -> bool {
    let built = RegionOptions::new(PAGE_SIZE).pager(pager).build();
    if let Err(error) = &built {
        eprintln!("skipped: {error}");
    }
    built.is_ok()
}

/// Makes a system call fail with `errno` for this process: all calls of the number, or those of which one argument (its
/// position, counted from 0, and its low half) is so.
fn refuse_call(number: libc::c_long, argument: Option<(u32, u32)>, errno: i32) {
    filter_calls(number, argument, libc::SECCOMP_RET_ERRNO | errno as u32);
}

/// Kills this process when it makes the call.
pub(crate) fn kill_who_calls(number: libc::c_long) {
    filter_calls(number, None, libc::SECCOMP_RET_KILL_PROCESS);
}

fn filter_calls(number: libc::c_long, argument: Option<(u32, u32)>, verdict: u32) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Offset of the first argument in `struct seccomp_data`.
    const ARGUMENTS: u32 = 16;
    let refuse = step(RETURN, 0, 0, verdict);
    let allow = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
    let mut filter = vec![step(LOAD, 0, 0, 0)];
    match argument {
        None => filter.push(step(JUMP_EQUAL, 0, 1, number as u32)),
        Some((at, value)) => filter.extend([
            step(JUMP_EQUAL, 0, 3, number as u32),
            step(LOAD, 0, 0, ARGUMENTS + 8 * at),
            step(JUMP_EQUAL, 0, 1, value),
        ]),
    }
    filter.extend([refuse, allow]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes integers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program is valid and lives through the call.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0);
}

/// Makes userfaultfd fail with EPERM for this process.
pub(crate) fn deny_userfaultfd() {
    refuse_call(libc::SYS_userfaultfd, None, libc::EPERM);
}

/// Makes this advice fail for this process.
pub(crate) fn refuse_madvise(advice: i32, errno: i32) {
    refuse_call(libc::SYS_madvise, Some((2, advice as u32)), errno);
}

/// Makes this `ioctl` fail for this process.
pub(crate) fn refuse_ioctl(request: u32, errno: i32) {
    refuse_call(libc::SYS_ioctl, Some((1, request)), errno);
}

/// Bytes of `[base, base + len)` that are in memory, as the kernel counts them.
///
/// Page by page, not by mapping as `smaps` has them: the kernel merges what lies between two regions, and then counts
/// for one what the other holds.
pub(crate) fn rss(base: usize, len: usize) -> usize {
    // "pagemap" in the kernel's admin-guide: a word a page; bit 63 says present, bit 62 swapped.
    const HELD: u64 = 3 << 62;
    let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
    let mut words = vec![0; len / PAGE_SIZE * 8];
    pagemap.read_exact_at(&mut words, (base / PAGE_SIZE * 8) as u64).unwrap();
    let is_held = |word: &&[u8]| u64::from_ne_bytes((*word).try_into().unwrap()) & HELD != 0;
    words.chunks_exact(8).filter(is_held).count() * PAGE_SIZE
}
