//! The kernels: small programs in C, compiled ahead (`kernels/build.sh`), each with one export
//! `run(iterations) -> checksum`.

/// A program to execute.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its file's name.
    pub name: &'static str,
    /// The module.
    pub wasm: &'static [u8],
    /// Iterations that take some milliseconds.
    pub iterations: u32,
}

macro_rules! kernel {
    ($name:literal, $iterations:literal) => {
        Kernel {
            name: $name,
            wasm: include_bytes!(concat!("../kernels/", $name, ".wasm")),
            iterations: $iterations,
        }
    };
}

/// All kernels.
pub const KERNELS: [Kernel; 8] = [
    kernel!("coremark", 40),
    kernel!("coremark64", 40),
    kernel!("dispatch", 10_000),
    kernel!("recursion", 100),
    kernel!("memory", 1),
    kernel!("memory64", 1),
    kernel!("nbody", 20_000),
    kernel!("sha256", 5_000),
];
