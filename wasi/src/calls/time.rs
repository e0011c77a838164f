//! `clock_*`.

use crate::clocks::{ClockId, nanos};
use crate::ctx::State;
use crate::error::Result;
use crate::guest::GuestPtr;
use crate::memory::GuestMemory;

/// Writes the smallest step of a clock, in nanoseconds.
pub(crate) fn clock_res_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    clock: u32,
    result: GuestPtr<u64>,
) -> Result<()> {
    let resolution = ctx.clocks.resolution(ClockId::new(clock)?)?;
    memory.store(result, &nanos(resolution))
}

/// Writes the time on a clock, in nanoseconds. The precision argument allows the host to be less
/// exact, which is not needed.
pub(crate) fn clock_time_get(
    ctx: &State,
    memory: &mut dyn GuestMemory,
    clock: u32,
    _precision: u64,
    result: GuestPtr<u64>,
) -> Result<()> {
    let now = ctx.clocks.now(ClockId::new(clock)?)?;
    memory.store(result, &nanos(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Errno;
    use crate::guest::ptr;
    use crate::memory::fake::FakeMemory;
    use crate::{DeterministicClocks, WasiCtxBuilder};
    use std::time::Duration;

    #[test]
    fn all_four_clocks_tell_the_time() {
        let ctx = WasiCtxBuilder::new().build().unwrap();
        let mut memory = FakeMemory::new(16);
        for clock in 0..4 {
            clock_time_get(&ctx.pin(), &mut memory, clock, 1, ptr(0)).unwrap();
            assert_ne!(memory.u64_at(0), 0, "clock {clock}");
            clock_res_get(&ctx.pin(), &mut memory, clock, ptr(8)).unwrap();
            assert_ne!(memory.u64_at(8), 0, "clock {clock}");
        }
        for clock in [4, u32::MAX] {
            let result = clock_time_get(&ctx.pin(), &mut memory, clock, 0, ptr(0));
            assert_eq!(result, Err(Errno::Inval.into()));
        }
    }

    #[test]
    fn an_embedders_clock_is_used() {
        let clocks = DeterministicClocks::new(Duration::from_secs(1), Duration::from_nanos(5));
        let ctx = WasiCtxBuilder::new().clocks(clocks).build().unwrap();
        let mut memory = FakeMemory::new(8);
        clock_time_get(&ctx.pin(), &mut memory, 0, 0, ptr(0)).unwrap();
        assert_eq!(memory.u64_at(0), 1_000_000_005);
    }
}
