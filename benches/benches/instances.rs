//! The life of instances and their memories: made, touched, grown, dropped.
//!
//! Contenders are seqfault with the pager it chooses and with `mprotect`, Wasmtime allocating on demand
//! and from its pool, and the pool told to keep pages. With two threads each has its own stores; the
//! figure is what one thread's work costs while the other does the same, by the wall clock.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report, in_parallel};
use std::time::Duration;

const MODULE: &str = r#"
    (module
      (memory (export "memory") 1)
      ;; Stores a byte in each 4 KiB of the first `end` bytes.
      (func (export "touch") (param $end i32) (local $at i32)
        (loop $again
          (i32.store8 (local.get $at) (i32.const 1))
          (br_if $again (i32.lt_u
            (local.tee $at (i32.add (local.get $at) (i32.const 4096)))
            (local.get $end)))))
      ;; Grows by a page, `left` times.
      (func (export "grow") (param $left i32)
        (loop $again
          (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
          (br_if $again
            (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
"#;

/// The same with 192 KiB of initial data, which is not all zero.
fn with_data() -> String {
    let data = format!(r#"(data (i32.const 1024) "{}")"#, "seqfault".repeat((192 << 10) / 8));
    let (start, end) = MODULE.rsplit_once(')').expect("a module");
    format!("{}{data}){end}", start.replace("1)\n", "4)\n"))
}

/// The same with 10,000 functions in a table.
fn with_table() -> String {
    const FUNCTIONS: usize = 10_000;
    let table = format!(
        "(table {FUNCTIONS} funcref) {} (elem (i32.const 0) {})",
        "(func (param i32))".repeat(FUNCTIONS),
        (0..FUNCTIONS).map(|func| format!("{func} ")).collect::<String>(),
    );
    let (start, end) = MODULE.rsplit_once(')').expect("a module");
    format!("{start}{table}){end}")
}

/// Bytes of a wasm page.
const PAGE: u32 = 1 << 16;
/// What "dense" touches.
const LARGE: u32 = 256 << 20;
/// Pages that a memory is grown by before it is replaced.
const GROWTH: u64 = 16_000;

/// The measurements of one engine: its API is the same word for word in both.
macro_rules! engine_under_test {
    ($module:ident, $engine:ident) => {
        mod $module {
            use super::{Clock, Duration, GROWTH, LARGE, PAGE};
            use $engine::{Config, Engine, InstancePre, Linker, Module, Store};

            pub(crate) struct Subject {
                plain: InstancePre<()>,
                data: InstancePre<()>,
                table: InstancePre<()>,
            }

            impl Subject {
                pub(crate) fn new(config: &Config) -> Subject {
                    let engine = Engine::new(config).expect("an engine");
                    let pre = |text: &str| {
                        let module = Module::new(&engine, text).expect("a valid module");
                        Linker::new(&engine).instantiate_pre(&module).expect("no imports")
                    };
                    Subject {
                        plain: pre(super::MODULE),
                        data: pre(&super::with_data()),
                        table: pre(&super::with_table()),
                    }
                }

                fn engine(&self) -> &Engine {
                    self.plain.module().engine()
                }

                /// An instance is made, touches a page, and is dropped.
                pub(crate) fn live(&self, clock: Clock, count: u64) -> Duration {
                    self.lives(&self.plain, clock, count)
                }

                /// The same with initial data.
                pub(crate) fn live_with_data(&self, clock: Clock, count: u64) -> Duration {
                    self.lives(&self.data, clock, count)
                }

                /// The same with a large table of functions.
                pub(crate) fn live_with_table(&self, clock: Clock, count: u64) -> Duration {
                    self.lives(&self.table, clock, count)
                }

                fn lives(&self, pre: &InstancePre<()>, clock: Clock, count: u64) -> Duration {
                    clock.time(|| {
                        for _ in 0..count {
                            let mut store = Store::new(self.engine(), ());
                            let instance = pre.instantiate(&mut store).expect("room");
                            let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch");
                            touch.expect("the export").call(&mut store, PAGE).expect("no trap");
                        }
                    })
                }

                /// `memory.grow` by a page.
                pub(crate) fn grow(&self, clock: Clock, count: u64) -> Duration {
                    let mut time = Duration::ZERO;
                    let mut left = count;
                    while left > 0 {
                        let pages = left.min(GROWTH);
                        left -= pages;
                        let mut store = Store::new(self.engine(), ());
                        let instance = self.plain.instantiate(&mut store).expect("room");
                        let grow = instance.get_typed_func::<u32, ()>(&mut store, "grow");
                        let grow = grow.expect("the export");
                        time += clock.time(|| {
                            grow.call(&mut store, pages as u32).expect("no trap");
                        });
                    }
                    time
                }

                /// The first touch of each page of a large memory.
                pub(crate) fn touch(&self, clock: Clock, count: u64) -> Duration {
                    (0..count).map(|_| self.large(clock).0).sum()
                }

                /// Dropping the store that has such a memory, all touched.
                pub(crate) fn drop(&self, clock: Clock, count: u64) -> Duration {
                    (0..count)
                        .map(|_| {
                            let (_, store) = self.large(clock);
                            clock.time(|| drop(store))
                        })
                        .sum()
                }

                fn large(&self, clock: Clock) -> (Duration, Store<()>) {
                    let mut store = Store::new(self.engine(), ());
                    let instance = self.plain.instantiate(&mut store).expect("room");
                    let memory = instance.get_memory(&mut store, "memory").expect("the export");
                    memory.grow(&mut store, u64::from(LARGE / PAGE - 1)).expect("room");
                    let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch");
                    let touch = touch.expect("the export");
                    let time = clock.time(|| touch.call(&mut store, LARGE).expect("no trap"));
                    (time, store)
                }
            }
        }
    };
}

engine_under_test!(ours, seqfault);
engine_under_test!(theirs, wasmtime);

/// A contest of all contenders in one measurement.
macro_rules! contest {
    ($subjects:ident, $name:literal, $method:ident, $threads:expr) => {{
        let threads: u32 = $threads;
        // One thread is not disturbed by what else runs; waiting counts only where there are two.
        let clock = if threads == 1 { Clock::Thread } else { Clock::Wall };
        let name = format!("{}/{}_threads", $name, threads);
        macro_rules! work {
            ($subject:ident) => {{
                let subject = &$subjects.$subject;
                move |count| in_parallel(threads, count, |count| subject.$method(clock, count))
            }};
        }
        Contest::new(name)
            .contender("seqfault", work!(chosen))
            .contender("seqfault-protect", work!(protect))
            .contender("wasmtime", work!(on_demand))
            .contender("wasmtime-pooling", work!(pooling))
            .contender("wasmtime-pooling-keep", work!(keeping))
    }};
}

struct Subjects {
    chosen: ours::Subject,
    protect: ours::Subject,
    on_demand: theirs::Subject,
    pooling: theirs::Subject,
    keeping: theirs::Subject,
}

impl Subjects {
    fn new() -> Subjects {
        Subjects {
            chosen: ours::Subject::new(&eager()),
            protect: ours::Subject::new(eager().pager(seqfault::PagerKind::Protect)),
            on_demand: theirs::Subject::new(&wasmtime::Config::new()),
            pooling: theirs::Subject::new(&pooling(0)),
            keeping: theirs::Subject::new(&pooling(1 << 20)),
        }
    }
}

/// Compiles ahead, so that no first call is measured.
fn eager() -> seqfault::Config {
    let mut config = seqfault::Config::new();
    config.compilation(seqfault::Compilation::Eager);
    config
}

fn pooling(keep_resident: usize) -> wasmtime::Config {
    use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};
    let mut pool = PoolingAllocationConfig::default();
    pool.total_memories(16);
    if keep_resident > 0 {
        pool.linear_memory_keep_resident(keep_resident);
        pool.pagemap_scan(Enabled::Auto);
    }
    let mut config = wasmtime::Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn main() {
    let criterion = || {
        Criterion::default()
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(400))
    };
    let mut quick = criterion().sample_size(20).configure_from_args();
    let mut slow = criterion().sample_size(10).configure_from_args();
    let mut report = Report::new("instances");
    let subjects = Subjects::new();
    for threads in [1, 2] {
        contest!(subjects, "instantiate_touch_drop", live, threads).run(&mut quick, &mut report);
        contest!(subjects, "instantiate_data_touch_drop", live_with_data, threads)
            .run(&mut quick, &mut report);
        contest!(subjects, "instantiate_table_touch_drop", live_with_table, threads)
            .run(&mut quick, &mut report);
        contest!(subjects, "grow_one_page", grow, threads).run(&mut quick, &mut report);
        contest!(subjects, "touch_256_mib", touch, threads).run(&mut slow, &mut report);
        contest!(subjects, "drop_256_mib", drop, threads).run(&mut slow, &mut report);
    }
    slow.final_summary();
    println!("{report}");
}
