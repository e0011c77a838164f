//! x86-64 Linux: the layout of `ucontext_t`, the entry points of the signal handler, and the copy routines.

mod copy;

pub(crate) use copy::{
    in_copy, prepare_copies, seqfault_mm_copy, seqfault_mm_fill, seqfault_mm_fill_pairs,
    seqfault_mm_fill_words, seqfault_mm_load_u32, seqfault_mm_load_u64, stop_copy,
};

use std::ffi::{c_int, c_void};

use libc::{
    REG_EFL, REG_ERR, REG_R8, REG_R9, REG_RBP, REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI,
    REG_RSP, siginfo_t, ucontext_t,
};

use crate::Access;

/// What the processor was doing when it faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A load or a store.
    Data(Access),
    /// An instruction fetch: never resolved by bringing a page.
    Fetch,
}

/// Page-fault error code bits (Intel SDM, volume 3, 4.7).
const ERR_WRITE: i64 = 1 << 1;
const ERR_FETCH: i64 = 1 << 4;
/// Direction flag.
const EFLAGS_DF: i64 = 1 << 10;

fn get(context: &ucontext_t, register: c_int) -> usize {
    context.uc_mcontext.gregs[register as usize] as usize
}

fn set(context: &mut ucontext_t, register: c_int, value: u64) {
    context.uc_mcontext.gregs[register as usize] = value.cast_signed();
}

/// A system call, or its negated error number. Inline: after each entry into the kernel, processors with mitigations
/// (AMD's SRSO) predict no return, so every function between a caller and the call costs as much as a tenth of it.
///
/// # Safety
/// What the call itself asks for.
#[inline(always)]
pub(crate) unsafe fn system_call(number: i64, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes the result and these two registers; the rest is the caller's promise.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// An entry point of the signal handler, as the kernel calls it.
pub(crate) type SignalEntry = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// The entry points. All call the same handler and tell it their number. Other code compares them by address, so there
/// is one table: a function may have more than one address.
pub(crate) static SIGNAL_ENTRIES: [SignalEntry; 8] = [
    signal_entry::<0>,
    signal_entry::<1>,
    signal_entry::<2>,
    signal_entry::<3>,
    signal_entry::<4>,
    signal_entry::<5>,
    signal_entry::<6>,
    signal_entry::<7>,
];

/// Calls the handler with two more arguments: whether the kernel called this entry point for an action of ours, and
/// `ENTRY`.
///
/// The kernel makes a handler return to the restorer of its action, and no other action has our restorer. When another
/// handler calls this function, even by a jump at its end, the return address is a different one.
///
/// # Safety
/// Called as a signal handler that was installed with `SA_SIGINFO` is.
#[unsafe(naked)]
unsafe extern "C" fn signal_entry<const ENTRY: usize>(
    signo: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    // Other copies of this library, also of other versions, read the first bytes: they must never change.
    std::arch::naked_asm!(
        "jmp 2f",
        ".ascii \"seqfault signal v1\"",
        "3: .long {next_handler} - 3b",
        "2: lea rax, [rip + {restorer}]",
        "inc rax",
        "xor ecx, ecx",
        "cmp rax, [rsp]",
        "sete cl",
        "mov r8d, {entry}",
        "jmp {handler}",
        entry = const ENTRY,
        handler = sym crate::signal::handler,
        next_handler = sym crate::signal::next_handler,
        restorer = sym restorer,
    )
}

/// The address that our handler returns to: the restorer, which ends the signal.
pub(crate) fn signal_restorer() -> extern "C" fn() {
    let addr = restorer as *const () as usize + 1;
    // SAFETY: the address is that of the code behind the first instruction of `restorer`, to which the kernel makes
    // handlers return.
    unsafe { std::mem::transmute::<usize, extern "C" fn()>(addr) }
}

/// `nop`, then `mov rax, SYS_rt_sigreturn; syscall` in exactly the bytes by which debuggers and unwinders recognise a
/// restorer. They look up the function at the byte before a return address: the `nop` belongs to no function.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    std::arch::naked_asm!(
        "nop",
        ".byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00",
        ".byte 0x0f, 0x05",
        "ud2",
    )
}

/// Bytes at the start of an entry point by which other copies of this library recognise it.
pub(crate) const ENTRY_HEAD: usize = 24;

/// The address of `next_handler` in the copy of this library whose entry point is at `entry` and begins with `head`.
/// `None` if `head` is not the start of an entry point.
pub(crate) fn next_handler_of(entry: usize, head: &[u8; ENTRY_HEAD]) -> Option<usize> {
    const DISTANCE: usize = 20;
    const SHORT_JUMP: u8 = 0xeb;
    if head[0] != SHORT_JUMP || head[2..DISTANCE] != *b"seqfault signal v1" {
        return None;
    }
    let distance = i32::from_le_bytes(head[DISTANCE..].try_into().ok()?);
    Some((entry + DISTANCE).wrapping_add_signed(distance as isize))
}

/// What the page fault tried to do.
pub(crate) fn cause(context: &ucontext_t) -> Cause {
    let code = context.uc_mcontext.gregs[REG_ERR as usize];
    if code & ERR_FETCH != 0 {
        Cause::Fetch
    } else if code & ERR_WRITE != 0 {
        Cause::Data(Access::Write)
    } else {
        Cause::Data(Access::Read)
    }
}

/// The program counter.
pub(crate) fn pc(context: &ucontext_t) -> usize {
    get(context, REG_RIP)
}

/// The stack pointer.
pub(crate) fn sp(context: &ucontext_t) -> usize {
    get(context, REG_RSP)
}

/// The frame pointer.
pub(crate) fn fp(context: &ucontext_t) -> usize {
    get(context, REG_RBP)
}

/// Continues at `pc`.
pub(crate) fn set_pc(context: &mut ucontext_t, pc: usize) {
    set(context, REG_RIP, pc as u64);
}

/// Continues with stack pointer `sp`.
pub(crate) fn set_sp(context: &mut ucontext_t, sp: usize) {
    set(context, REG_RSP, sp as u64);
}

/// Continues with frame pointer `fp`.
pub(crate) fn set_fp(context: &mut ucontext_t, fp: usize) {
    set(context, REG_RBP, fp as u64);
}

/// Passes integer arguments as a call by the C convention would: up to six, in registers.
pub(crate) fn set_args<const N: usize>(context: &mut ucontext_t, args: [u64; N]) {
    const REGISTERS: [c_int; 6] = [REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9];
    const { assert!(N <= REGISTERS.len()) };
    for (register, value) in REGISTERS.into_iter().zip(args) {
        set(context, register, value);
    }
    // The convention wants it clear at every call.
    context.uc_mcontext.gregs[REG_EFL as usize] &= !EFLAGS_DF;
}
