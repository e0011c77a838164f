//! Objects that are allocated, read and collected: seqfault and Wasmtime, with each of its collectors
//! that collects.
//!
//! The program is the "binary trees" benchmark, in `kernels/binary_trees.wat`.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report};
use std::hint::black_box;
use std::time::Duration;

const KERNEL: &str = include_str!("../kernels/binary_trees.wat");

/// How much slower than Wasmtime's fastest it may be.
const TARGET: f64 = 1.1;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(2000))
        .configure_from_args();
    let mut report = Report::new("collection");
    for depth in [10, 14, 16] {
        compare(depth, &mut criterion, &mut report);
    }
    criterion.final_summary();
    println!("{report}");
    println!("target: at most {TARGET} times the fastest of Wasmtime's");
}

fn compare(depth: u32, criterion: &mut Criterion, report: &mut Report) {
    use wasmtime::Collector::{Copying, DeferredReferenceCounting};
    let mut ours = seqfault_runner();
    let mut copying = wasmtime_runner(Copying);
    let mut counting = wasmtime_runner(DeferredReferenceCounting);
    let sum = ours(depth);
    assert_eq!((copying(depth), counting(depth)), (sum, sum), "at depth {depth}");
    Contest::new(format!("binary trees of depth {depth}"))
        .contender("seqfault", |samples| repeat(samples, || ours(depth)))
        .contender("wasmtime, copying", |samples| repeat(samples, || copying(depth)))
        .contender("wasmtime, counting", |samples| repeat(samples, || counting(depth)))
        .run(criterion, report);
}

fn repeat(samples: u64, mut run: impl FnMut() -> u32) -> Duration {
    Clock::Thread.time(|| {
        for _ in 0..samples {
            black_box(run());
        }
    })
}

fn seqfault_runner() -> impl FnMut(u32) -> u32 {
    use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
    let mut config = Config::new();
    config.compilation(Compilation::Eager);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, KERNEL).expect("a valid kernel");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a kernel without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, "run").expect("the export");
    move |depth| run.call(&mut store, depth).expect("no trap")
}

fn wasmtime_runner(collector: wasmtime::Collector) -> impl FnMut(u32) -> u32 {
    use wasmtime::{Config, Engine, Instance, Module, Store};
    let mut config = Config::new();
    config.wasm_gc(true).wasm_function_references(true).collector(collector);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, KERNEL).expect("a valid kernel");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a kernel without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, "run").expect("the export");
    move |depth| run.call(&mut store, depth).expect("no trap")
}
