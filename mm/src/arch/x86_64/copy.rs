//! Copying and filling bytes that may fault, at the speed of the C library.
//!
//! Every routine is restarted by the processor at the instruction whose page was brought, and is left at
//! `seqfault_mm_copy_stop` when an access is denied. So none of them touches the stack, and all lie in one range of
//! addresses.
//!
//! | bytes | how |
//! |---|---|
//! | up to 256 (128 without AVX) | everything is loaded before anything is stored: any overlap is right |
//! | more | a loop over aligned parts of the destination, up or down as the overlap wants; what does not fit the loop at either end is loaded before it and stored after it |
//! | more, with AVX, and the last 128 bytes (32, downwards) go to two pages | what goes to each page by itself: a store across the end of a page takes as long as ten others |
//!
//! `rep movsb` is never used: it copies 64 KiB between misaligned addresses in 40 µs on some processors, and these loops
//! take 1.5. Stores that bypass the cache gained nothing up to 64 MiB.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::{REG_RAX, REG_RDX, ucontext_t};

use super::{set, set_pc};
use crate::copy::Verdict;

/// Whether vectors have 32 bytes. Relaxed: either is right at any time.
static WIDE: AtomicBool = AtomicBool::new(false);

/// Finds out once what the processor has.
pub(crate) fn prepare_copies() {
    WIDE.store(std::is_x86_feature_detected!("avx"), Ordering::Relaxed);
}

/// Makes a routine of this file return `code` and `addr`.
pub(crate) fn stop_copy(context: &mut ucontext_t, code: u64, addr: u64) {
    set(context, REG_RAX, code);
    set(context, REG_RDX, addr);
    set_pc(context, (&raw const seqfault_mm_copy_stop).addr());
}

/// Whether `pc` is inside a routine of this file.
pub(crate) fn in_copy(pc: usize) -> bool {
    ((&raw const seqfault_mm_copy_begin).addr()..(&raw const seqfault_mm_copy_stop).addr())
        .contains(&pc)
}

unsafe extern "C" {
    static seqfault_mm_copy_begin: u8;
    static seqfault_mm_copy_stop: u8;

    /// Copies; the ranges may overlap in any way.
    pub(crate) fn seqfault_mm_copy(dst: *mut u8, src: *const u8, len: usize) -> Verdict;
    /// Fills with the low byte of `byte`.
    pub(crate) fn seqfault_mm_fill(dst: *mut u8, byte: u32, len: usize) -> Verdict;
    /// Fills with a word. If the length is not a multiple of 8, a part of the word must repeat itself in it, and the length
    /// be a multiple of that part; so must the address be.
    pub(crate) fn seqfault_mm_fill_words(dst: *mut u8, word: u64, len: usize) -> Verdict;
    /// Fills with two words in turn; the length is a multiple of 16, the address of 8.
    pub(crate) fn seqfault_mm_fill_pairs(dst: *mut u8, low: u64, len: usize, high: u64) -> Verdict;
    /// Loads 4 aligned bytes at once and stores them at `dst`.
    pub(crate) fn seqfault_mm_load_u32(dst: *mut u32, src: *const u32) -> Verdict;
    /// Loads 8 aligned bytes at once and stores them at `dst`.
    pub(crate) fn seqfault_mm_load_u64(dst: *mut u64, src: *const u64) -> Verdict;
}

// `rdi` is the destination, `rsi` the source, the byte or the word, `rdx` the length, `rcx` the second word.
std::arch::global_asm!(
    r#"
    .pushsection .text.seqfault_mm_copy,"ax",@progbits
    .macro seqfault_mm_export name
        .globl \name
        .hidden \name
        \name:
    .endm
    .macro seqfault_mm_done
        xor eax, eax
        ret
    .endm
    .macro seqfault_mm_done_wide
        vzeroupper
        xor eax, eax
        ret
    .endm

    .p2align 6
    seqfault_mm_export seqfault_mm_copy_begin
    seqfault_mm_export seqfault_mm_copy
10: cmp rdx, 16
    jb 62f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    cmp rdx, 32
    ja 5f
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    seqfault_mm_done
5:  movups xmm2, [rsi + 16]
    movups xmm3, [rsi + rdx - 32]
    cmp rdx, 64
    ja 6f
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + rdx - 32], xmm3
    movups [rdi + rdx - 16], xmm1
    seqfault_mm_done
6:  cmp byte ptr [rip + {wide}], 0
    jne 40f
    cmp rdx, 128
    ja 20f
    movups xmm4, [rsi + 32]
    movups xmm5, [rsi + 48]
    movups xmm6, [rsi + rdx - 64]
    movups xmm7, [rsi + rdx - 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + 32], xmm4
    movups [rdi + 48], xmm5
    movups [rdi + rdx - 64], xmm6
    movups [rdi + rdx - 48], xmm7
    movups [rdi + rdx - 32], xmm3
    movups [rdi + rdx - 16], xmm1
    seqfault_mm_done

    // Less than 16.
62: cmp edx, 8
    jae 63f
    cmp edx, 4
    jae 64f
    cmp edx, 1
    ja 65f
    jb 66f
    movzx eax, byte ptr [rsi]
    mov [rdi], al
66: seqfault_mm_done
63: mov rax, [rsi]
    mov rcx, [rsi + rdx - 8]
    mov [rdi], rax
    mov [rdi + rdx - 8], rcx
    seqfault_mm_done
64: mov eax, [rsi]
    mov ecx, [rsi + rdx - 4]
    mov [rdi], eax
    mov [rdi + rdx - 4], ecx
    seqfault_mm_done
65: movzx eax, word ptr [rsi]
    movzx ecx, word ptr [rsi + rdx - 2]
    mov [rdi], ax
    mov [rdi + rdx - 2], cx
    seqfault_mm_done

    // More than 128. Downwards where the destination begins inside of the source.
20: mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jb 30f
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    lea rcx, [rdi + rdx]
    mov r8, rdi
    neg rdi
    and edi, 15
    add rsi, rdi
    add rdi, r8
    lea r9, [rcx - 64]
21: movups xmm2, [rsi]
    movups xmm6, [rsi + 16]
    movups xmm7, [rsi + 32]
    movups xmm8, [rsi + 48]
    add rsi, 64
    movaps [rdi], xmm2
    movaps [rdi + 16], xmm6
    movaps [rdi + 32], xmm7
    movaps [rdi + 48], xmm8
    add rdi, 64
    cmp rdi, r9
    jb 21b
    movups [rcx - 64], xmm4
    movups [rcx - 48], xmm5
    movups [rcx - 32], xmm3
    movups [rcx - 16], xmm1
    movups [r8], xmm0
    seqfault_mm_done
30: movups xmm4, [rsi + 32]
    movups xmm5, [rsi + 48]
    lea rcx, [rdi + rdx]
    add rsi, rdx
    mov r8, rcx
    and r8d, 15
    sub rsi, r8
    mov r9, rcx
    sub r9, r8
    lea r10, [rdi + 64]
31: movups xmm3, [rsi - 16]
    movups xmm6, [rsi - 32]
    movups xmm7, [rsi - 48]
    movups xmm8, [rsi - 64]
    sub rsi, 64
    movaps [r9 - 16], xmm3
    movaps [r9 - 32], xmm6
    movaps [r9 - 48], xmm7
    movaps [r9 - 64], xmm8
    sub r9, 64
    cmp r9, r10
    ja 31b
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + 32], xmm4
    movups [rdi + 48], xmm5
    movups [rcx - 16], xmm1
    seqfault_mm_done

    // With AVX, more than 64.
    .p2align 4
40: vmovdqu ymm0, [rsi]
    vmovdqu ymm1, [rsi + 32]
    vmovdqu ymm2, [rsi + rdx - 64]
    vmovdqu ymm3, [rsi + rdx - 32]
    cmp rdx, 128
    ja 41f
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    vmovdqu [rdi + rdx - 64], ymm2
    vmovdqu [rdi + rdx - 32], ymm3
    seqfault_mm_done_wide
41: vmovdqu ymm4, [rsi + rdx - 128]
    vmovdqu ymm5, [rsi + rdx - 96]
    vmovdqu ymm6, [rsi + 64]
    vmovdqu ymm7, [rsi + 96]
    cmp rdx, 256
    ja 42f
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    vmovdqu [rdi + 64], ymm6
    vmovdqu [rdi + 96], ymm7
    vmovdqu [rdi + rdx - 128], ymm4
    vmovdqu [rdi + rdx - 96], ymm5
    vmovdqu [rdi + rdx - 64], ymm2
    vmovdqu [rdi + rdx - 32], ymm3
    seqfault_mm_done_wide
42: mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jb 50f
    lea rcx, [rdi + rdx]
    mov r10d, ecx
    and r10d, 4095
    lea r11d, [r10 - 1]
    cmp r11d, 126
    jbe 45f
44: mov r8, rdi
    neg rdi
    and edi, 31
    add rsi, rdi
    add rdi, r8
    lea r9, [rcx - 128]
    .p2align 5
43: vmovdqu ymm1, [rsi]
    vmovdqu ymm6, [rsi + 32]
    vmovdqu ymm7, [rsi + 64]
    vmovdqu ymm8, [rsi + 96]
    sub rsi, -128
    vmovdqa [rdi], ymm1
    vmovdqa [rdi + 32], ymm6
    vmovdqa [rdi + 64], ymm7
    vmovdqa [rdi + 96], ymm8
    sub rdi, -128
    cmp rdi, r9
    jb 43b
    vmovdqu [rcx - 128], ymm4
    vmovdqu [rcx - 96], ymm5
    vmovdqu [rcx - 64], ymm2
    vmovdqu [rcx - 32], ymm3
    vmovdqu [r8], ymm0
    cmp r11d, 126
    jbe 46f
    seqfault_mm_done_wide
    // The last stores would cross the end of a page: first up to there, then the rest.
45: sub rdx, r10
    sub rcx, r10
    vmovdqu ymm4, [rsi + rdx - 128]
    vmovdqu ymm5, [rsi + rdx - 96]
    vmovdqu ymm2, [rsi + rdx - 64]
    vmovdqu ymm3, [rsi + rdx - 32]
    jmp 44b
46: mov rdi, rcx
    mov rsi, rcx
    sub rsi, rax
    mov edx, r10d
    vzeroupper
    jmp 10b
50: lea rcx, [rdi + rdx]
    mov r10d, ecx
    and r10d, 4095
    lea r11d, [r10 - 1]
    cmp r11d, 30
    jbe 52f
59: add rsi, rdx
    mov r8, rcx
    and r8d, 31
    sub rsi, r8
    mov r9, rcx
    sub r9, r8
    lea r10, [rdi + 128]
    .p2align 5
51: vmovdqu ymm2, [rsi - 32]
    vmovdqu ymm4, [rsi - 64]
    vmovdqu ymm5, [rsi - 96]
    vmovdqu ymm8, [rsi - 128]
    add rsi, -128
    vmovdqa [r9 - 32], ymm2
    vmovdqa [r9 - 64], ymm4
    vmovdqa [r9 - 96], ymm5
    vmovdqa [r9 - 128], ymm8
    add r9, -128
    cmp r9, r10
    ja 51b
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm1
    vmovdqu [rdi + 64], ymm6
    vmovdqu [rdi + 96], ymm7
    vmovdqu [rcx - 32], ymm3
    seqfault_mm_done_wide
    // Here too the last store would cross the end of a page: the bytes behind it come first.
52: sub rdx, r10
    sub rcx, r10
    lea r8, [rsi + rdx]
    cmp r10d, 16
    jae 53f
    cmp r10d, 8
    jae 54f
    cmp r10d, 4
    jae 55f
    movzx eax, byte ptr [r8 + r10 - 1]
    shr r11d
    movzx r9d, byte ptr [r8 + r11]
    movzx r8d, byte ptr [r8]
    mov [rcx + r10 - 1], al
    mov [rcx + r11], r9b
    mov [rcx], r8b
    jmp 58f
53: vmovdqu xmm2, [r8]
    vmovdqu xmm3, [r8 + r10 - 16]
    vmovdqu [rcx], xmm2
    vmovdqu [rcx + r10 - 16], xmm3
    jmp 58f
54: mov rax, [r8]
    mov r9, [r8 + r10 - 8]
    mov [rcx], rax
    mov [rcx + r10 - 8], r9
    jmp 58f
55: mov eax, [r8]
    mov r9d, [r8 + r10 - 4]
    mov [rcx], eax
    mov [rcx + r10 - 4], r9d
58: vmovdqu ymm3, [rsi + rdx - 32]
    jmp 59b

    .p2align 6
    seqfault_mm_export seqfault_mm_fill
    movzx esi, sil
    movabs rax, 0x0101010101010101
    imul rax, rsi
70: cmp rdx, 16
    jb 80f
    movq xmm0, rax
    punpcklqdq xmm0, xmm0
    cmp rdx, 64
    ja 72f
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    cmp rdx, 32
    ja 71f
    seqfault_mm_done
71: movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    seqfault_mm_done
72: cmp byte ptr [rip + {wide}], 0
    jne 90f
    lea rcx, [rdi + rdx]
    movups [rdi], xmm0
    movups [rcx - 64], xmm0
    movups [rcx - 48], xmm0
    movups [rcx - 32], xmm0
    movups [rcx - 16], xmm0
    add rdi, 16
    and rdi, -16
    sub rcx, 64
    jmp 74f
73: movaps [rdi], xmm0
    movaps [rdi + 16], xmm0
    movaps [rdi + 32], xmm0
    movaps [rdi + 48], xmm0
    add rdi, 64
74: cmp rdi, rcx
    jb 73b
    seqfault_mm_done
80: cmp edx, 8
    jae 81f
    cmp edx, 4
    jae 82f
    cmp edx, 1
    ja 83f
    jb 84f
    mov [rdi], al
84: seqfault_mm_done
81: mov [rdi], rax
    mov [rdi + rdx - 8], rax
    seqfault_mm_done
82: mov [rdi], eax
    mov [rdi + rdx - 4], eax
    seqfault_mm_done
83: mov [rdi], ax
    mov [rdi + rdx - 2], ax
    seqfault_mm_done
90: vinsertf128 ymm0, ymm0, xmm0, 1
    cmp rdx, 256
    ja 92f
    vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm0
    vmovdqu [rdi + rdx - 64], ymm0
    vmovdqu [rdi + rdx - 32], ymm0
    cmp rdx, 128
    ja 91f
    seqfault_mm_done_wide
91: vmovdqu [rdi + 64], ymm0
    vmovdqu [rdi + 96], ymm0
    vmovdqu [rdi + rdx - 128], ymm0
    vmovdqu [rdi + rdx - 96], ymm0
    seqfault_mm_done_wide
92: lea rcx, [rdi + rdx]
    mov r8d, ecx
    and r8d, 4095
    lea r9d, [r8 - 1]
    cmp r9d, 126
    ja 94f
    // The last stores would cross the end of a page: first up to there.
    sub rcx, r8
    .p2align 4
94: vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm0
    vmovdqu [rdi + 64], ymm0
    vmovdqu [rdi + 96], ymm0
    sub rdi, -128
    and rdi, -32
    add rcx, -128
    .p2align 5
93: vmovdqa [rdi], ymm0
    vmovdqa [rdi + 32], ymm0
    vmovdqa [rdi + 64], ymm0
    vmovdqa [rdi + 96], ymm0
    sub rdi, -128
    cmp rdi, rcx
    jb 93b
    vmovdqu [rcx], ymm0
    vmovdqu [rcx + 32], ymm0
    vmovdqu [rcx + 64], ymm0
    vmovdqu [rcx + 96], ymm0
    cmp r9d, 126
    jbe 95f
    seqfault_mm_done_wide
95: lea rdi, [rcx + 128]
    mov edx, r8d
    vzeroupper
    jmp 70b

    .p2align 4
    seqfault_mm_export seqfault_mm_fill_words
    mov rax, rsi
    jmp 70b

    // Not aligned to the vectors: that would shift the words. First what is left of 64.
    .p2align 4
    seqfault_mm_export seqfault_mm_fill_pairs
    movq xmm0, rsi
    movq xmm1, rcx
    punpcklqdq xmm0, xmm1
    mov eax, edx
    add rdx, rdi
    and eax, 48
    jz 101f
100: movups [rdi], xmm0
    add rdi, 16
    sub eax, 16
    jnz 100b
101: cmp rdi, rdx
    jae 104f
    cmp byte ptr [rip + {wide}], 0
    jne 103f
102: movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    add rdi, 64
    cmp rdi, rdx
    jb 102b
104: seqfault_mm_done
103: vinsertf128 ymm0, ymm0, xmm0, 1
    .p2align 4
105: vmovdqu [rdi], ymm0
    vmovdqu [rdi + 32], ymm0
    add rdi, 64
    cmp rdi, rdx
    jb 105b
    seqfault_mm_done_wide

    .p2align 4
    seqfault_mm_export seqfault_mm_load_u32
    mov ecx, dword ptr [rsi]
    mov dword ptr [rdi], ecx
    seqfault_mm_done
    .p2align 4
    seqfault_mm_export seqfault_mm_load_u64
    mov rcx, qword ptr [rsi]
    mov qword ptr [rdi], rcx
    seqfault_mm_done

    .p2align 4
    seqfault_mm_export seqfault_mm_copy_stop
    cmp byte ptr [rip + {wide}], 0
    je 99f
    vzeroupper
99: ret
    .purgem seqfault_mm_export
    .purgem seqfault_mm_done
    .purgem seqfault_mm_done_wide
    .popsection
    "#,
    wide = sym WIDE,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::random::Random;

    /// So many that ranges cross the ends of pages.
    const BYTES: usize = 3 * 4096;

    /// A range of the buffer and where it is to go: near, or anywhere.
    fn draw(random: &mut Random) -> (usize, usize, usize) {
        let longest = [80, 400, 2_000, BYTES / 2][random.below(4)];
        let len = random.below(longest);
        let last = BYTES - len;
        let src = random.below(last + 1);
        let dst = match random.below(3) {
            0 => random.below(last + 1),
            1 => (src + random.below(300)).min(last),
            _ => src.saturating_sub(random.below(300)),
        };
        (src, dst, len)
    }

    #[test]
    fn bytes_end_up_where_the_standard_library_puts_them() {
        let mut random = Random::new(5);
        for round in 0..40_000 {
            // Other tests may change it as well: either is right for each of them.
            let wide = round % 2 == 0 && std::is_x86_feature_detected!("avx");
            WIDE.store(wide, Ordering::Relaxed);
            let ((src, dst, len), align) = (draw(&mut random), random.below(64));
            let mut ours: Vec<u8> =
                (0..BYTES + align).map(|at| (at * 7 + at / 256) as u8).collect();
            let mut theirs = ours.clone();
            let base = ours[align..].as_mut_ptr();
            // SAFETY: both ranges lie in the buffer.
            let verdict = unsafe { seqfault_mm_copy(base.add(dst), base.add(src), len) };
            theirs[align..].copy_within(src..src + len, dst);
            assert_eq!(verdict.check(), Ok(()));
            assert!(ours == theirs, "copy of {len} from {src} to {dst}, wide: {wide}");

            let byte = random.below(1 << 30) as u32;
            let base = ours[align..].as_mut_ptr();
            // SAFETY: as above.
            let verdict = unsafe { seqfault_mm_fill(base.add(dst), byte, len) };
            theirs[align..][dst..dst + len].fill(byte as u8);
            assert_eq!(verdict.check(), Ok(()));
            assert!(ours == theirs, "fill of {len} at {dst}, wide: {wide}");
        }
    }

    #[test]
    fn words_and_pairs_are_repeated_from_the_first_byte_on() {
        let mut random = Random::new(6);
        for round in 0..20_000 {
            // As above.
            let wide = round % 2 == 0 && std::is_x86_feature_detected!("avx");
            WIDE.store(wide, Ordering::Relaxed);
            let size = 1 << random.below(5);
            let (_, at, len) = draw(&mut random);
            // Elements of 16 bytes are aligned to 8.
            let (align, len) = (size.min(8), len / size * size);
            let at = at / align * align;
            let element: Vec<u8> = (0..size).map(|_| random.below(256) as u8).collect();
            let pair: [u8; 16] = element.repeat(16 / size).try_into().expect("16 bytes");
            let [low, high] = [0, 8]
                .map(|half| u64::from_le_bytes(pair[half..half + 8].try_into().expect("a half")));
            let mut ours = vec![0u64; BYTES / 8 + 1];
            let mut theirs = vec![0u8; BYTES + 8];
            // SAFETY: the range lies in the buffer, and is aligned as the routines ask.
            let verdict = unsafe {
                let dst = ours.as_mut_ptr().cast::<u8>().add(at);
                match size {
                    16 => seqfault_mm_fill_pairs(dst, low, len, high),
                    _ => seqfault_mm_fill_words(dst, low, len),
                }
            };
            theirs[at..at + len].copy_from_slice(&element.repeat(len / size));
            assert_eq!(verdict.check(), Ok(()));
            let ours: Vec<u8> = ours.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert!(ours == theirs, "fill of {len} at {at} by {size}, wide: {wide}");
        }
    }
}
