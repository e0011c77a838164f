//! x86-64: lazy entries, jumps between functions, and what processors have beyond SSE2.
//!
//! ```text
//! call [rip + <distance to the stub's address>]   ff 15 disp32
//! ```

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::isa::TargetIsa;

/// Bytes from one lazy entry to the next.
pub(crate) const LAZY_ENTRY_SIZE: usize = 8;

/// Bytes from the start of a lazy entry to the address that it pushes.
pub(crate) const LAZY_ENTRY_CALL: usize = 6;

/// Writes the instruction of a lazy entry: a call to the address that is stored `distance` bytes behind the entry's
/// start, less than 2 GiB away.
pub(crate) fn encode_lazy_entry(entry: &mut [u8; LAZY_ENTRY_SIZE], distance: usize) {
    let displacement = u32::try_from(distance - LAZY_ENTRY_CALL).expect("within the code space");
    entry[..2].copy_from_slice(&[0xff, 0x15]);
    entry[2..LAZY_ENTRY_CALL].copy_from_slice(&displacement.to_le_bytes());
    // Never executed; traps if it ever is.
    entry[LAZY_ENTRY_CALL..].fill(0xcc);
}

/// Completes a jump in `code` to the byte `target` of the same code, as a relocation of this kind asks. False if the
/// kind is another one.
#[must_use]
pub(crate) fn complete_jump(
    code: &mut [u8],
    kind: Reloc,
    at: usize,
    addend: i64,
    target: usize,
) -> bool {
    let distance = i32::try_from(target as i64 + addend - at as i64);
    let (Reloc::X86CallPCRel4, Ok(distance)) = (kind, distance) else { return false };
    code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    true
}

/// Whether the processor can shuffle bytes of a vector by another vector: SSSE3.
pub(crate) fn has_byte_shuffle(isa: &dyn TargetIsa) -> bool {
    isa.has_x86_pshufb_lowering()
}

/// Whether conversions of vectors to integers, minima and maxima give results that relaxed operators may have.
pub(crate) fn has_relaxed_floats(_: &dyn TargetIsa) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lazy_entry_is_a_call_through_memory() {
        let mut entry = [0; LAZY_ENTRY_SIZE];
        encode_lazy_entry(&mut entry, 0x1234_5678 + 6);
        assert_eq!(entry, [0xff, 0x15, 0x78, 0x56, 0x34, 0x12, 0xcc, 0xcc]);
    }
}
