//! x86-64: continuing elsewhere, and the stubs between compiled code and Rust.

use super::super::lazy;
use std::arch::{asm, naked_asm};

/// Continues at `pc` with that stack pointer and frame pointer.
///
/// # Safety
///
/// `pc` must expect these values, and no frame that is left may hold anything that needs dropping.
pub(in crate::vm) unsafe fn continue_at(pc: usize, sp: usize, fp: usize) -> ! {
    // SAFETY: the caller's promise. The operands are in registers that are not changed before use.
    unsafe {
        asm!(
            "mov rsp, {sp}",
            "mov rbp, {fp}",
            "jmp {pc}",
            sp = in(reg) sp,
            fp = in(reg) fp,
            pc = in(reg) pc,
            options(noreturn),
        )
    }
}

/// Continues at a handler of compiled code, with that stack pointer and frame pointer, and with the given values in the
/// registers for the payload of an exception.
///
/// # Safety
///
/// As for [`continue_at`].
pub(in crate::vm) unsafe fn continue_in_handler(
    pc: usize,
    sp: usize,
    fp: usize,
    payload: [usize; 2],
) -> ! {
    // SAFETY: as above. The handler expects no other register to be kept.
    unsafe {
        asm!(
            "mov rsp, rcx",
            "mov rbp, rsi",
            "jmp rdi",
            in("rax") payload[0],
            in("rdx") payload[1],
            in("rcx") sp,
            in("rsi") fp,
            in("rdi") pc,
            options(noreturn),
        )
    }
}

/// Whether an instruction that is restarted after a signal handler may have a wrong effect. That is so under valgrind,
/// which loses stores because it keeps the registers up to date for most instructions only when it is told to.
pub(crate) fn restarts_are_unsafe() -> bool {
    runs_on_valgrind()
}

/// Whether valgrind runs the process: the client request `RUNNING_ON_VALGRIND` (`valgrind.h`): instructions that have no effect on a processor, and that
/// valgrind answers.
pub(crate) fn runs_on_valgrind() -> bool {
    let request: [u64; 6] = [0x1001, 0, 0, 0, 0, 0];
    let mut depth = 0u64;
    // SAFETY: the register is rotated by twice its width in total, and exchanged with itself: nothing changes except
    // the flags. valgrind reads the request and writes the answer to `rdx`.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &raw const request,
            inout("rdx") depth,
            options(nostack),
        );
    }
    depth != 0
}

/// Saves or restores the registers that carry arguments in the `tail` convention, with the stack
/// pointer 16-byte aligned at the lowest of the 176 bytes.
macro_rules! argument_registers {
    (save) => {
        "sub rsp, 176
         movups [rsp], xmm0
         movups [rsp + 16], xmm1
         movups [rsp + 32], xmm2
         movups [rsp + 48], xmm3
         movups [rsp + 64], xmm4
         movups [rsp + 80], xmm5
         movups [rsp + 96], xmm6
         movups [rsp + 112], xmm7
         mov [rsp + 128], rdi
         mov [rsp + 136], rsi
         mov [rsp + 144], rdx
         mov [rsp + 152], rcx
         mov [rsp + 160], r8
         mov [rsp + 168], r9"
    };
    (restore) => {
        "movups xmm0, [rsp]
         movups xmm1, [rsp + 16]
         movups xmm2, [rsp + 32]
         movups xmm3, [rsp + 48]
         movups xmm4, [rsp + 64]
         movups xmm5, [rsp + 80]
         movups xmm6, [rsp + 96]
         movups xmm7, [rsp + 112]
         mov rdi, [rsp + 128]
         mov rsi, [rsp + 136]
         mov rdx, [rsp + 144]
         mov rcx, [rsp + 152]
         mov r8, [rsp + 160]
         mov r9, [rsp + 168]"
    };
}

/// The target of the lazy entries of modules: compiles the function and continues in it.
pub(crate) fn lazy_function_stub() -> *const u8 {
    function_stub as *const u8
}

/// The first target of the slots of host functions: compiles the exit trampoline and continues in it.
pub(crate) fn lazy_exit_stub() -> *const u8 {
    exit_stub as *const u8
}

/// Entered by the call of a lazy entry; the address that it has pushed identifies the entry. Makes a frame, so that
/// `[rbp]` and `[rbp + 8]` are the frame pointer and return address of the wasm caller.
#[unsafe(naked)]
unsafe extern "C" fn function_stub() {
    naked_asm!(
        "pop rax",
        "push rbp",
        "mov rbp, rsp",
        argument_registers!(save),
        "mov rsi, rdi",
        "mov rdi, rax",
        "mov rdx, rbp",
        "call {compile}",
        argument_registers!(restore),
        "mov rsp, rbp",
        "pop rbp",
        "jmp rax",
        compile = sym lazy::compile_function,
    )
}

/// Entered in place of an exit trampoline, with the host function's context as first argument.
#[unsafe(naked)]
unsafe extern "C" fn exit_stub() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        argument_registers!(save),
        "mov rsi, rbp",
        "call {compile}",
        argument_registers!(restore),
        "mov rsp, rbp",
        "pop rbp",
        "jmp rax",
        compile = sym lazy::compile_exit,
    )
}

/// Defines the function that compiled code calls for a builtin. It records the frame that is left, then continues in
/// the entry, a Rust function of the same type. `rdi` is the instance's context, `rbp` is still the wasm frame's.
macro_rules! builtin_shim {
    (fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)? => $entry:path) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            vmctx: *mut VMContext,
            $($arg: $ty),*
        ) $(-> $result)? {
            const _: unsafe extern "C" fn(*mut VMContext, $($ty),*) $(-> $result)? = $entry;
            std::arch::naked_asm!(
                "mov rax, [rdi + {store}]",
                "mov [rax + {exit_fp}], rbp",
                "mov r10, [rsp]",
                "mov [rax + {exit_pc}], r10",
                "jmp {entry}",
                store = const std::mem::offset_of!(seqfault_jit::vm::VMContext, store_context),
                exit_fp = const std::mem::offset_of!(seqfault_jit::vm::VMStoreContext, exit_fp),
                exit_pc = const std::mem::offset_of!(seqfault_jit::vm::VMStoreContext, exit_pc),
                entry = sym $entry,
            )
        }
    };
}
pub(in crate::vm) use builtin_shim;

/// Defines the same for a builtin that leaves all registers as they were, as far as compiled code uses them: of vector
/// registers, that is the low 128 bits.
macro_rules! keeping_shim {
    (fn $name:ident($($arg:ident: $ty:ty),*) => $entry:path) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(vmctx: *mut VMContext, $($arg: $ty),*) {
            const _: unsafe extern "C" fn(*mut VMContext, $($ty),*) = $entry;
            std::arch::naked_asm!(
                "push rax",
                "push r10",
                "push r11",
                "mov rax, [rdi + {store}]",
                "mov [rax + {exit_fp}], rbp",
                "mov r10, [rsp + 24]",
                "mov [rax + {exit_pc}], r10",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                // Nine registers and the return address: aligned to 16 bytes again.
                "sub rsp, 256",
                "movups [rsp], xmm0",
                "movups [rsp + 16], xmm1",
                "movups [rsp + 32], xmm2",
                "movups [rsp + 48], xmm3",
                "movups [rsp + 64], xmm4",
                "movups [rsp + 80], xmm5",
                "movups [rsp + 96], xmm6",
                "movups [rsp + 112], xmm7",
                "movups [rsp + 128], xmm8",
                "movups [rsp + 144], xmm9",
                "movups [rsp + 160], xmm10",
                "movups [rsp + 176], xmm11",
                "movups [rsp + 192], xmm12",
                "movups [rsp + 208], xmm13",
                "movups [rsp + 224], xmm14",
                "movups [rsp + 240], xmm15",
                "call {entry}",
                "movups xmm0, [rsp]",
                "movups xmm1, [rsp + 16]",
                "movups xmm2, [rsp + 32]",
                "movups xmm3, [rsp + 48]",
                "movups xmm4, [rsp + 64]",
                "movups xmm5, [rsp + 80]",
                "movups xmm6, [rsp + 96]",
                "movups xmm7, [rsp + 112]",
                "movups xmm8, [rsp + 128]",
                "movups xmm9, [rsp + 144]",
                "movups xmm10, [rsp + 160]",
                "movups xmm11, [rsp + 176]",
                "movups xmm12, [rsp + 192]",
                "movups xmm13, [rsp + 208]",
                "movups xmm14, [rsp + 224]",
                "movups xmm15, [rsp + 240]",
                "add rsp, 256",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "pop r11",
                "pop r10",
                "pop rax",
                "ret",
                store = const std::mem::offset_of!(seqfault_jit::vm::VMContext, store_context),
                exit_fp = const std::mem::offset_of!(seqfault_jit::vm::VMStoreContext, exit_fp),
                exit_pc = const std::mem::offset_of!(seqfault_jit::vm::VMStoreContext, exit_pc),
                entry = sym $entry,
            )
        }
    };
}
pub(in crate::vm) use keeping_shim;

/// Defines the same for a builtin that checks: it returns at once if the first argument is 0, and has changed nothing
/// but flags. Otherwise it never returns.
macro_rules! checking_shim {
    (fn $name:ident($($arg:ident: $ty:ty),*) => $entry:path) => {
        mod $name {
            use super::*;

            builtin_shim!(fn failed($($arg: $ty),*) -> ! => $entry);
        }

        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(vmctx: *mut VMContext, $($arg: $ty),*) {
            std::arch::naked_asm!("test esi, esi", "jnz {failed}", "ret", failed = sym $name::failed)
        }
    };
}
pub(in crate::vm) use checking_shim;
