//! `proc_*`, `sched_yield` and `random_get`.

use crate::abi::Errno;
use crate::ctx::State;
use crate::error::{Abort, I32Exit, Result};
use crate::guest::GuestSlice;
use crate::memory::GuestMemory;

/// How many random bytes are generated at once.
const CHUNK: usize = 16 * 1024;

/// Ends the guest. For processes, the host keeps only eight bits of a status; the embedder gets all
/// of them.
pub(crate) fn proc_exit(status: u32) -> Result<()> {
    Err(Abort::Exit(I32Exit(status.cast_signed())).into())
}

/// Sends the guest a signal. Nothing can receive it, and programs that want to end have `proc_exit`
/// and traps.
pub(crate) fn proc_raise(_signal: u32) -> Result<()> {
    Err(Errno::NotSup.into())
}

/// Lets other threads run.
pub(crate) fn sched_yield() -> Result<()> {
    std::thread::yield_now();
    Ok(())
}

/// Fills a buffer with random bytes.
pub(crate) fn random_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    buf: GuestSlice<u8>,
) -> Result<()> {
    let len = buf.len();
    // Generated here and then copied, not generated in place: `ctx.random` may be an embedder's
    // generator.
    let mut chunk = vec![0; CHUNK.min(len as usize)];
    let mut done = 0;
    while done < len {
        ctx.interrupt.check()?;
        let now = chunk.len().min((len - done) as usize);
        ctx.random.fill(&mut chunk[..now])?;
        memory.write(buf.start().nth(done)?.at(), &chunk[..now])?;
        done += now as u32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasiCtxBuilder;
    use crate::error::Error;
    use crate::guest::slice;
    use crate::memory::fake::FakeMemory;

    #[test]
    fn exit_carries_all_bits_of_the_status() {
        let exit = Error::Abort(Abort::Exit(I32Exit(-2)));
        assert_eq!(proc_exit(u32::MAX - 1), Err(exit));
    }

    #[test]
    fn large_requests_are_filled_to_the_last_byte() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let len = CHUNK * 3 + 100;
        let mut memory = FakeMemory::new(len + 2);
        random_get(&ctx.pin(), &mut memory, slice(1, len as u32)).unwrap();
        let bytes = memory.get(0, len + 2);
        assert_eq!((bytes[0], bytes[len + 1]), (0, 0));
        assert!(bytes[len - 99..=len].iter().any(|&byte| byte != 0));
        random_get(&ctx.pin(), &mut memory, slice(0, 0)).unwrap();
    }

    #[test]
    fn more_than_the_memory_holds_traps() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut memory = FakeMemory::new(64);
        for (buf, len) in [(0, 65), (64, 1), (0, u32::MAX), (u32::MAX, u32::MAX)] {
            let result = random_get(&ctx.pin(), &mut memory, slice(buf, len));
            assert!(matches!(result, Err(Error::Abort(_))), "{buf} {len}");
        }
    }

    #[test]
    fn an_embedders_generator_repeats() {
        use rand::SeedableRng;
        let run = || {
            let rng = rand::rngs::StdRng::seed_from_u64(7);
            let ctx = WasiCtxBuilder::new().random(rng).build().unwrap();
            let mut memory = FakeMemory::new(32);
            random_get(&ctx.pin(), &mut memory, slice(0, 32)).unwrap();
            memory.get(0, 32)
        };
        assert_eq!(run(), run());
    }
}
