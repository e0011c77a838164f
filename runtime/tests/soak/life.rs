//! The life of one instance.

use crate::modules::{Drawn, Start};
use crate::random::Random;
use seqfault::{Engine, Error, Func, Instance, Memory, Module, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What the host's function panics with.
pub(crate) const PANIC: &str = "the host panics, as asked";

const HOST_PANICS: i32 = 6;
const FOREVER: i32 = 7;

pub(crate) fn live(engine: &Engine, module: &Module, drawn: &Drawn, random: &mut Random) {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let host = Func::wrap(&mut store, |end: i32| -> Result<(), Error> {
        if end == HOST_PANICS {
            std::panic::panic_any(PANIC);
        }
        Err(Error::msg("as asked"))
    });
    let made = Instance::new(&mut store, module, &[host.into()]);
    assert_eq!(made.is_ok(), drawn.start == Start::Lives, "{:?}: {:?}", drawn.start, made.err());
    let Ok(instance) = made else { return };
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    check(&mut store, instance, memory, drawn, random);
    for _ in 0..random.below(8) {
        act(&mut store, instance, memory, random);
    }
    match random.below(12) {
        0 => engine.release_idle_memories(),
        1 => store.gc().unwrap(),
        _ => (),
    }
    end(&mut store, instance, random);
}

/// Everything is what the module says.
fn check(
    store: &mut Store<()>,
    instance: Instance,
    memory: Memory,
    drawn: &Drawn,
    random: &mut Random,
) {
    let size = memory.data_size(&*store);
    let samples = if random.below(4) == 0 { 0 } else { 6 };
    for _ in 0..samples {
        let at = random.below(size / 4096) * 4096;
        let mut page = [0xee; 4096];
        memory.read(&*store, at, &mut page).unwrap();
        drawn.check(at, &page);
    }
    if samples == 0 {
        let mut all = vec![0xee; size];
        memory.read(&*store, 0, &mut all).unwrap();
        drawn.check(0, &all);
    }
    let parts = instance.get_typed_func::<(), i64>(&mut *store, "parts").unwrap();
    assert_eq!(parts.call(&mut *store, ()).unwrap(), 0, "a table, a global or an array");
}

/// Does something to the instance that leaves a mark.
fn act(store: &mut Store<()>, instance: Instance, memory: Memory, random: &mut Random) {
    let size = memory.data_size(&*store);
    let mark = 0x80 | random.below(127) as u8;
    match random.below(6) {
        0 => {
            memory.grow(&mut *store, random.below(6) as u64).unwrap();
            // What it grew by is zero.
            let mut new = vec![0xee; memory.data_size(&*store) - size];
            memory.read(&*store, size, &mut new).unwrap();
            assert!(new.iter().all(|&byte| byte == 0), "in what a memory grew by");
            memory.write(&mut *store, size, &vec![mark; new.len()]).unwrap();
        }
        1 => {
            let page = random.below(size >> 16) << 16;
            memory.discard(&mut *store, page..page + 65536).unwrap();
            let mut bytes = vec![0xee; 65536];
            memory.read(&*store, page, &mut bytes).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0), "in what was discarded");
        }
        2 => {
            let spoil = instance.get_typed_func::<i64, ()>(&mut *store, "spoil").unwrap();
            spoil.call(&mut *store, -i64::from(mark)).unwrap();
        }
        3 => {
            for at in (random.below(4096)..size).step_by(4096 * (1 + random.below(9))) {
                memory.write(&mut *store, at, &[mark]).unwrap();
            }
        }
        _ => {
            let at = random.below(size);
            let len = 1 + random.below(size - at);
            if let Ok(fill) = instance.get_typed_func::<(i32, i32, i32), ()>(&mut *store, "fill") {
                fill.call(&mut *store, (mark.into(), at as i32, len as i32)).unwrap();
            } else {
                let fill =
                    instance.get_typed_func::<(i32, i64, i64), ()>(&mut *store, "fill").unwrap();
                fill.call(&mut *store, (mark.into(), at as i64, len as i64)).unwrap();
            }
        }
    }
}

/// Ends the guest in a way that is drawn: it returns, traps, fails or panics in the host, or is interrupted.
fn end(store: &mut Store<()>, instance: Instance, random: &mut Random) {
    let how = random.below(8) as i32;
    let end = instance.get_typed_func::<i32, ()>(&mut *store, "end").unwrap();
    if how == FOREVER && random.below(2) == 0 {
        // By the epoch, which is past at once.
        store.set_epoch_deadline(0);
        assert!(end.call(&mut *store, how).is_err());
    } else if how == FOREVER {
        let handle = store.interrupt_handle();
        let pause = Duration::from_micros(random.below(2000) as u64);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(pause);
                handle.interrupt();
            });
            assert!(end.call(&mut *store, how).is_err());
        });
    } else {
        let ended = catch_unwind(AssertUnwindSafe(|| end.call(&mut *store, how)));
        match ended {
            Ok(result) => assert_eq!(result.is_ok(), how == 0, "end {how}: {result:?}"),
            Err(_) => assert_eq!(how, HOST_PANICS),
        }
    }
}
