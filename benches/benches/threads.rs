//! What a second thread costs the first: the same work on one thread and on two, in instances of their own and in one shared
//! memory, by the wall clock.
//!
//! Each contest is of one engine with itself: the ratio says how much one thread's work costs beside another, compared with
//! alone (1 is none). The last contests compare the engines, each with two threads.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report, in_parallel};
use std::time::Duration;

/// The memory's type is put where `MEMORY` stands.
const MODULE: &str = r#"
    (module
      MEMORY
      ;; Stores a byte in each 4 KiB from `at` to `end`.
      (func (export "touch") (param $at i32) (param $end i32)
        (loop $again
          (i32.store8 (local.get $at) (i32.const 1))
          (br_if $again (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
            (local.get $end)))))
      ;; Grows by a page and stores three words in it, `left` times.
      (func (export "grow") (param $left i32) (local $page i32)
        (loop $again
          (if (i32.eq (local.tee $page (memory.grow (i32.const 1))) (i32.const -1)) (then unreachable))
          (local.set $page (i32.shl (local.get $page) (i32.const 16)))
          (i32.store (local.get $page) (i32.const 1))
          (i32.store offset=4096 (local.get $page) (i32.const 1))
          (i32.store offset=65532 (local.get $page) (i32.const 1))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
"#;

/// Bytes of a wasm page.
const PAGE: u32 = 1 << 16;
/// Bytes that each thread touches.
const PART: u32 = 64 << 20;
/// Pages that each thread grows its memory by.
const GROWTH: u32 = 1000;

/// The measurements of one engine: its API is the same word for word in both.
macro_rules! engine_under_test {
    ($module:ident, $engine:ident, $shared:expr) => {
        mod $module {
            use super::{Clock, Duration, GROWTH, PAGE, PART, in_parallel};
            use $engine::{Config, Engine, Instance, Linker, Module, SharedMemory, Store};

            pub(crate) struct Subject {
                own: Module,
                shared: Module,
            }

            impl Subject {
                pub(crate) fn new(config: &Config) -> Subject {
                    let engine = Engine::new(config).expect("an engine");
                    let module = |memory: &str| {
                        let text = super::MODULE.replace("MEMORY", memory);
                        Module::new(&engine, text).expect("a valid module")
                    };
                    Subject {
                        own: module(r#"(memory (export "memory") 1 20000)"#),
                        shared: module(r#"(import "" "memory" (memory 1 20000 shared))"#),
                    }
                }

                fn memory(&self) -> SharedMemory {
                    let ty = $shared(1, 20_000);
                    SharedMemory::new(self.shared.engine(), ty).expect("room")
                }

                fn own(&self) -> (Store<()>, Instance) {
                    let mut store = Store::new(self.own.engine(), ());
                    let instance = Instance::new(&mut store, &self.own, &[]).expect("room");
                    (store, instance)
                }

                fn sharing(&self, memory: &SharedMemory) -> (Store<()>, Instance) {
                    let engine = self.shared.engine();
                    let mut store = Store::new(engine, ());
                    let mut linker = Linker::new(engine);
                    linker.define(&mut store, "", "memory", memory.clone()).expect("a new name");
                    let instance = linker.instantiate(&mut store, &self.shared).expect("room");
                    (store, instance)
                }

                /// Each thread touches a part of its own instance's memory, page after page.
                pub(crate) fn touch_own(&self, threads: u32, count: u64) -> Duration {
                    in_parallel(threads, count, |count| {
                        let once = |_| {
                            let (mut store, instance) = self.own();
                            grow(&mut store, &instance, PART / PAGE);
                            touch(&mut store, &instance, 0)
                        };
                        (0..count).map(once).sum()
                    })
                }

                /// Each thread touches a part of its own of one memory.
                pub(crate) fn touch_shared(&self, threads: u32, count: u64) -> Duration {
                    let once = |_| {
                        let memory = self.memory();
                        memory.grow(u64::from(threads * PART / PAGE)).expect("room");
                        let part = std::sync::atomic::AtomicU32::new(0);
                        in_parallel(threads, 1, |_| {
                            // Relaxed: only tells the threads apart.
                            let part = part.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            let (mut store, instance) = self.sharing(&memory);
                            touch(&mut store, &instance, part * PART)
                        })
                    };
                    (0..count).map(once).sum()
                }

                /// Each thread grows its own instance's memory and touches what it got.
                pub(crate) fn grow_own(&self, threads: u32, count: u64) -> Duration {
                    in_parallel(threads, count, |count| {
                        let once = |_| {
                            let (mut store, instance) = self.own();
                            grow_and_touch(&mut store, &instance)
                        };
                        (0..count).map(once).sum()
                    })
                }

                /// Each thread grows one memory and touches what it got.
                pub(crate) fn grow_shared(&self, threads: u32, count: u64) -> Duration {
                    let once = |_| {
                        let memory = self.memory();
                        in_parallel(threads, 1, |_| {
                            let (mut store, instance) = self.sharing(&memory);
                            grow_and_touch(&mut store, &instance)
                        })
                    };
                    (0..count).map(once).sum()
                }
            }

            fn grow(store: &mut Store<()>, instance: &Instance, pages: u32) {
                let memory = instance.get_memory(&mut *store, "memory").expect("the export");
                memory.grow(store, u64::from(pages)).expect("room");
            }

            fn touch(store: &mut Store<()>, instance: &Instance, at: u32) -> Duration {
                let touch = instance.get_typed_func::<(u32, u32), ()>(&mut *store, "touch");
                let touch = touch.expect("the export");
                Clock::Wall.time(|| touch.call(store, (at, at + PART)).expect("no trap"))
            }

            fn grow_and_touch(store: &mut Store<()>, instance: &Instance) -> Duration {
                let grow = instance.get_typed_func::<u32, ()>(&mut *store, "grow");
                let grow = grow.expect("the export");
                Clock::Wall.time(|| grow.call(store, GROWTH).expect("no trap"))
            }
        }
    };
}

engine_under_test!(ours, seqfault, seqfault::MemoryType::shared);
engine_under_test!(theirs, wasmtime, wasmtime::MemoryType::shared);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    let mut report = Report::new("threads");
    let mut config = seqfault::Config::new();
    // No first call is measured.
    config.compilation(seqfault::Compilation::Eager);
    let ours = ours::Subject::new(&config);
    config.pager(seqfault::PagerKind::Protect);
    let protect = ours::Subject::new(&config);
    let mut config = wasmtime::Config::new();
    config.wasm_threads(true).shared_memory(true);
    let theirs = theirs::Subject::new(&config);
    macro_rules! contests {
        ($($work:ident)*) => {$(
            for (name, subject) in [("seqfault", &ours), ("seqfault-protect", &protect)] {
                Contest::new(format!("{}/{name}", stringify!($work)))
                    .contender("two threads", |count| subject.$work(2, count))
                    .contender("one thread", |count| subject.$work(1, count))
                    .run(&mut criterion, &mut report);
            }
            Contest::new(concat!(stringify!($work), "/wasmtime"))
                .contender("two threads", |count| theirs.$work(2, count))
                .contender("one thread", |count| theirs.$work(1, count))
                .run(&mut criterion, &mut report);
            Contest::new(concat!(stringify!($work), "/both"))
                .contender("seqfault", |count| ours.$work(2, count))
                .contender("seqfault-protect", |count| protect.$work(2, count))
                .contender("wasmtime", |count| theirs.$work(2, count))
                .run(&mut criterion, &mut report);
        )*};
    }
    contests!(touch_own touch_shared grow_own grow_shared);
    criterion.final_summary();
    println!("{report}");
}
