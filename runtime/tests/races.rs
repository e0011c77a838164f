//! Shared memories under everything at once: bulk copies that race with growth, with discards, with
//! the end of other instances. No byte is ever one that nobody wrote, and no trap comes that is not
//! due.

mod machines;

use machines::engines;
use seqfault::{
    Config, Engine, Feature, Instance, MemoryType, Module, Result, SharedMemory, Store, TrapCode,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PAGE: usize = 64 << 10;

const GUEST: &str = r#"(module
    (import "env" "memory" (memory 4 1000 shared))
    (func (export "copy") (param i32 i32 i32)
      (memory.copy (local.get 0) (local.get 1) (local.get 2)))
    (func (export "fill") (param i32 i32 i32)
      (memory.fill (local.get 0) (local.get 1) (local.get 2)))
    (func (export "size") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "discard") (param i32 i32) (memory.discard (local.get 0) (local.get 1)))
    ;; Whether each byte from $at to $end is 0 or $byte.
    (func (export "is") (param $at i32) (param $end i32) (param $byte i32) (result i32)
      (local $found i32)
      (loop $next
        (local.set $found (i32.load8_u (local.get $at)))
        (if (i32.and (i32.ne (local.get $found) (i32.const 0))
                     (i32.ne (local.get $found) (local.get $byte)))
          (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 61)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (i32.const 1)))"#;

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module, memory: &SharedMemory) -> Guest {
        let mut store = Store::new(module.engine(), ());
        let instance =
            Instance::new(&mut store, module, &[memory.clone().into()]).expect("it fits");
        Guest { store, instance }
    }

    fn three(&mut self, name: &str, params: (i32, i32, i32)) -> Result<()> {
        let func = self.instance.get_typed_func::<(i32, i32, i32), ()>(&mut self.store, name)?;
        func.call(&mut self.store, params)
    }

    fn is(&mut self, from: usize, to: usize, byte: i32) -> Result<bool> {
        let func = self.instance.get_typed_func::<(i32, i32, i32), i32>(&mut self.store, "is")?;
        Ok(func.call(&mut self.store, (from as i32, to as i32, byte))? != 0)
    }

    fn one(&mut self, name: &str, param: i32) -> Result<i32> {
        let func = self.instance.get_typed_func::<i32, i32>(&mut self.store, name)?;
        func.call(&mut self.store, param)
    }

    fn discard(&mut self, start: usize, len: usize) -> Result<()> {
        let func = self.instance.get_typed_func::<(i32, i32), ()>(&mut self.store, "discard")?;
        func.call(&mut self.store, (start as i32, len as i32))
    }
}

fn allow(config: &mut Config) {
    config.wasm_feature(Feature::MemoryControl, true);
}

/// Runs `work` on a thread again and again, until what `main` does is done.
fn beside(work: impl Fn() + Sync, main: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
        main();
        stop.store(true, Ordering::Relaxed);
    });
}

fn for_a_while(mut turn: impl FnMut()) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        turn();
    }
}

fn world(engine: &Engine, pages: u32) -> (Module, SharedMemory) {
    let module = Module::new(engine, GUEST).expect("it compiles");
    let memory = SharedMemory::new(engine, MemoryType::shared(pages, 1000)).expect("address space");
    (module, memory)
}

#[test]
fn a_copy_that_races_with_growth_is_inside_or_traps_as_a_whole() {
    for engine in engines(allow) {
        let (module, memory) = world(&engine, 4);
        memory.write(0, &[0x5a; PAGE]).expect("inside");
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut grower = Guest::new(&module, &memory);
                while grower.one("grow", 1).expect("no trap") != -1 {}
            });
            let mut copier = Guest::new(&module, &memory);
            let mut last = 0;
            while last < 1000 {
                let size = memory.size() as usize;
                assert!(size >= last, "sizes only rise");
                last = size;
                // The last page there is, as far as this thread knows.
                let at = (size - 1) * PAGE;
                copier.three("copy", (at as i32, 0, PAGE as i32)).expect("inside");
                assert!(copier.is(at, at + PAGE, 0x5a).expect("inside"));
                // A byte beyond what another thread may have grown it to by now.
                let beyond = copier.three("copy", ((1000 * PAGE - 1) as i32, 0, 2));
                let code = beyond.unwrap_err().trap().expect("a trap").code();
                assert_eq!(code, TrapCode::MemoryOutOfBounds);
            }
        });
    }
}

#[test]
fn a_copy_that_races_with_discards_sees_old_bytes_or_zeros() {
    for engine in engines(allow) {
        let (module, memory) = world(&engine, 16);
        let fill = |from: usize, byte: u8| memory.write(from, &[byte; 4 * PAGE]).expect("inside");
        fill(0, 0x11);
        fill(8 * PAGE, 0x22);
        let work = || {
            let mut guest = Guest::new(&module, &memory);
            guest.discard(0, 4 * PAGE).expect("inside");
            guest.discard(9 * PAGE, 2 * PAGE).expect("inside");
            memory.discard(PAGE..2 * PAGE).expect("inside");
            guest.three("fill", (0, 0x11, 4 * PAGE as i32)).expect("inside");
        };
        beside(work, || {
            let mut guest = Guest::new(&module, &memory);
            for_a_while(|| {
                // From and to where it is discarded, and within, both ways.
                guest.three("copy", ((4 * PAGE) as i32, 0, (4 * PAGE) as i32)).expect("inside");
                assert!(guest.is(4 * PAGE, 8 * PAGE, 0x11).expect("inside"));
                guest
                    .three("copy", ((12 * PAGE) as i32, (8 * PAGE) as i32, (4 * PAGE) as i32))
                    .expect("inside");
                assert!(guest.is(8 * PAGE, 16 * PAGE, 0x22).expect("inside"));
                guest.three("copy", (100, 0, (3 * PAGE) as i32)).expect("inside");
                guest.three("copy", (0, 100, (3 * PAGE) as i32)).expect("inside");
                assert!(guest.is(0, 4 * PAGE, 0x11).expect("inside"));
            });
        });
    }
}

#[test]
fn the_end_of_one_instance_is_no_matter_to_a_copy_in_another() {
    for engine in engines(allow) {
        let (module, memory) = world(&engine, 16);
        memory.write(0, &[0x33; 4 * PAGE]).expect("inside");
        let private = Module::new(
            &engine,
            r#"(module (memory 16 16) (memory $own 64 64 shared)
                (func (export "touch") (param $at i32)
                  (loop
                    (i32.store (local.get $at) (i32.const -1))
                    (i32.store $own (local.get $at) (i32.const -1))
                    (br_if 0 (i32.lt_u
                      (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
                      (i32.const 0x80000))))))"#,
        )
        .expect("it compiles");
        // Memories come and go, in address space that the next one gets again.
        let work = || {
            let other = Guest::new(&module, &memory);
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &private, &[]).expect("address space");
            let touch = instance.get_typed_func::<i32, ()>(&mut store, "touch").expect("exported");
            touch.call(&mut store, 0).expect("inside");
            drop(other);
        };
        beside(work, || {
            let mut guest = Guest::new(&module, &memory);
            for_a_while(|| {
                memory.discard(8 * PAGE..12 * PAGE).expect("inside");
                guest.three("copy", ((8 * PAGE) as i32, 0, (4 * PAGE) as i32)).expect("inside");
                assert!(guest.is(8 * PAGE, 12 * PAGE, 0x33).expect("inside"));
                let mut bytes = [0; 16];
                memory.read(12 * PAGE - 16, &mut bytes).expect("inside");
                assert_eq!(bytes, [0x33; 16]);
            });
        });
    }
}
