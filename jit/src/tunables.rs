//! The choices that the code generator offers.

/// Choices that change the code generated for a module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunables {
    /// Check the epoch in every function prologue and loop header.
    pub epoch_interruption: bool,
    /// Give NaN results one bit pattern.
    pub nan_canonicalization: bool,
    /// Give relaxed vector operators the results of the deterministic profile.
    pub relaxed_simd_deterministic: bool,
    /// How much to optimise.
    pub opt_level: OptLevel,
    /// Compile every function in the plain way, which is otherwise for functions that would take too long.
    pub plain: bool,
    /// Run Cranelift's verifier on every function.
    pub verifier: bool,
    /// Use all instructions of this machine's processor. Otherwise only those that every processor of the architecture
    /// has.
    pub native_cpu: bool,
    /// Produce unwind tables for native tools.
    pub unwind_info: bool,
    /// Leave checks to faults and to instructions that raise signals. Without this, every check is a branch, and no
    /// instruction of compiled code raises a signal, provided that all accessible memory can be accessed.
    pub signals_based_traps: bool,
    /// No 64-bit memory grows beyond this many bytes. Each reserves as much address space, and behind it the guard that
    /// [`MemoryReach`](crate::vm::MemoryReach) defines.
    pub memory64_reservation: u64,
    /// Address space is scarce, so that memories and heaps have no more of it than they use: compiled code compares each
    /// access to a memory with its length, and finds the heap anew after each call.
    pub scarce_addresses: bool,
}

/// How much the code generator optimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// Compile as fast as possible.
    None,
    /// Fast code.
    Speed,
    /// Fast code, and small where that costs little.
    SpeedAndSize,
}

impl Default for Tunables {
    fn default() -> Tunables {
        Tunables {
            epoch_interruption: false,
            nan_canonicalization: false,
            relaxed_simd_deterministic: false,
            opt_level: OptLevel::Speed,
            plain: false,
            verifier: cfg!(debug_assertions),
            native_cpu: true,
            unwind_info: false,
            signals_based_traps: true,
            memory64_reservation: 64 << 30,
            scarce_addresses: false,
        }
    }
}
