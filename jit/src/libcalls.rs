//! Functions that Cranelift calls where the machine has no instruction.
//!
//! On x86-64 these are roundings without SSE4.1 and fused multiply-add without FMA. Their addresses
//! are written into the code as absolute 64-bit values, the only kind of relocation there is:
//! all else is reached through the instance's context.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{ExternalName, LibCall};
use cranelift_codegen::{FinalizedMachReloc, FinalizedRelocTarget};

/// Writes the address that `reloc` asks for into `code`.
pub(crate) fn resolve(code: &mut [u8], reloc: &FinalizedMachReloc) -> Result<(), String> {
    let FinalizedRelocTarget::ExternalName(ExternalName::LibCall(libcall)) = &reloc.target else {
        return Err(format!("unexpected relocation {reloc:?}"));
    };
    let (Reloc::Abs8, Some(address)) = (reloc.kind, address(*libcall)) else {
        return Err(format!("this machine lacks an instruction for {libcall:?}"));
    };
    let at = reloc.offset as usize;
    let value = (address as u64).wrapping_add_signed(reloc.addend);
    code[at..at + 8].copy_from_slice(&value.to_le_bytes());
    Ok(())
}

fn address(libcall: LibCall) -> Option<usize> {
    Some(match libcall {
        LibCall::CeilF32 => ceil_f32 as *const () as usize,
        LibCall::CeilF64 => ceil_f64 as *const () as usize,
        LibCall::FloorF32 => floor_f32 as *const () as usize,
        LibCall::FloorF64 => floor_f64 as *const () as usize,
        LibCall::TruncF32 => trunc_f32 as *const () as usize,
        LibCall::TruncF64 => trunc_f64 as *const () as usize,
        LibCall::NearestF32 => nearest_f32 as *const () as usize,
        LibCall::NearestF64 => nearest_f64 as *const () as usize,
        LibCall::FmaF32 => fma_f32 as *const () as usize,
        LibCall::FmaF64 => fma_f64 as *const () as usize,
        _ => return None,
    })
}

extern "C" fn ceil_f32(x: f32) -> f32 {
    x.ceil()
}

extern "C" fn ceil_f64(x: f64) -> f64 {
    x.ceil()
}

extern "C" fn floor_f32(x: f32) -> f32 {
    x.floor()
}

extern "C" fn floor_f64(x: f64) -> f64 {
    x.floor()
}

extern "C" fn trunc_f32(x: f32) -> f32 {
    x.trunc()
}

extern "C" fn trunc_f64(x: f64) -> f64 {
    x.trunc()
}

extern "C" fn nearest_f32(x: f32) -> f32 {
    x.round_ties_even()
}

extern "C" fn nearest_f64(x: f64) -> f64 {
    x.round_ties_even()
}

extern "C" fn fma_f32(x: f32, y: f32, z: f32) -> f32 {
    x.mul_add(y, z)
}

extern "C" fn fma_f64(x: f64, y: f64, z: f64) -> f64 {
    x.mul_add(y, z)
}
