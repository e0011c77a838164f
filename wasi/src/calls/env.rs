//! `args_*` and `environ_*`: the strings that a guest is started with.

use crate::ctx::{State, Strings};
use crate::error::Result;
use crate::guest::GuestPtr;
use crate::memory::GuestMemory;

/// Writes the arguments, and pointers to them.
pub(crate) fn args_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    argv: GuestPtr<GuestPtr<u8>>,
    argv_buf: GuestPtr<u8>,
) -> Result<()> {
    write_strings(memory, &ctx.args, argv, argv_buf)
}

/// Writes how many arguments there are, and how many bytes they take.
pub(crate) fn args_sizes_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    argc: GuestPtr<u32>,
    argv_buf_size: GuestPtr<u32>,
) -> Result<()> {
    write_sizes(memory, &ctx.args, argc, argv_buf_size)
}

/// Writes the environment, and pointers to its variables.
pub(crate) fn environ_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    environ: GuestPtr<GuestPtr<u8>>,
    environ_buf: GuestPtr<u8>,
) -> Result<()> {
    write_strings(memory, &ctx.env, environ, environ_buf)
}

/// Writes how many variables there are, and how many bytes they take.
pub(crate) fn environ_sizes_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    count: GuestPtr<u32>,
    environ_buf_size: GuestPtr<u32>,
) -> Result<()> {
    write_sizes(memory, &ctx.env, count, environ_buf_size)
}

fn write_strings(
    memory: &mut dyn GuestMemory,
    strings: &Strings,
    pointers: GuestPtr<GuestPtr<u8>>,
    buffer: GuestPtr<u8>,
) -> Result<()> {
    pointers.aligned()?;
    memory.write(buffer.at(), &strings.bytes)?;
    for (index, &start) in (0..).zip(&strings.starts) {
        memory.store(pointers.nth(index)?, &buffer.nth(start)?)?;
    }
    Ok(())
}

fn write_sizes(
    memory: &mut dyn GuestMemory,
    strings: &Strings,
    count: GuestPtr<u32>,
    bytes: GuestPtr<u32>,
) -> Result<()> {
    // Both fit: `Strings` holds no more than 32 bits can count.
    memory.store(count, &(strings.starts.len() as u32))?;
    memory.store(bytes, &(strings.bytes.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasiCtxBuilder;
    use crate::guest::ptr;
    use crate::memory::fake::FakeMemory;

    #[test]
    fn arguments_arrive_as_c_has_them() {
        let ctx = WasiCtxBuilder::new().args(["prog", "", "žluť"]).build().unwrap();
        let ctx = ctx.pin();
        let mut memory = FakeMemory::new(256);
        args_sizes_get(&ctx, &mut memory, ptr(0), ptr(4)).unwrap();
        assert_eq!((memory.u32_at(0), memory.u32_at(4)), (3, 5 + 1 + 7));
        args_get(&ctx, &mut memory, ptr(16), ptr(101)).unwrap();
        assert_eq!([16, 20, 24].map(|at| memory.u32_at(at)), [101, 106, 107]);
        assert_eq!(memory.get(101, 13), "prog\0\0žluť\0".as_bytes());
    }

    #[test]
    fn variables_arrive_as_c_has_them() {
        let ctx = WasiCtxBuilder::new().env("A", "1").env("EMPTY", "").build().unwrap();
        let ctx = ctx.pin();
        let mut memory = FakeMemory::new(256);
        environ_sizes_get(&ctx, &mut memory, ptr(0), ptr(4)).unwrap();
        assert_eq!((memory.u32_at(0), memory.u32_at(4)), (2, 4 + 7));
        environ_get(&ctx, &mut memory, ptr(16), ptr(101)).unwrap();
        assert_eq!([16, 20].map(|at| memory.u32_at(at)), [101, 105]);
        assert_eq!(memory.get(101, 11), b"A=1\0EMPTY=\0");
    }

    #[test]
    fn no_environment_is_nothing() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut memory = FakeMemory::new(16);
        memory.put(0, &[9; 16]);
        environ_sizes_get(&ctx.pin(), &mut memory, ptr(0), ptr(4)).unwrap();
        assert_eq!((memory.u32_at(0), memory.u32_at(4)), (0, 0));
        environ_get(&ctx.pin(), &mut memory, ptr(8), ptr(16)).unwrap();
    }

    #[test]
    fn buffers_beyond_the_memory_trap() {
        let ctx = WasiCtxBuilder::new().arg("program").build().unwrap();
        let mut memory = FakeMemory::new(16);
        for (argv, buf) in [(0, 9), (16, 0), (u32::MAX - 3, 0), (0, u32::MAX), (2, 0)] {
            assert!(
                args_get(&ctx.pin(), &mut memory, ptr(argv), ptr(buf)).is_err(),
                "{argv} {buf}"
            );
        }
    }
}
