//! Execution of compiled code: each kernel in seqfault and in Wasmtime.
//!
//! Both compile ahead, with their defaults otherwise, and have run the kernel before it is measured:
//! neither compilation nor first touches of memory are in the figures.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, KERNELS, Kernel, Report};
use std::hint::black_box;
use std::time::Duration;

/// How much slower than Wasmtime the CoreMark-like kernel may be.
const TARGET: f64 = 1.3;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let mut report = Report::new("execution");
    for kernel in &KERNELS {
        compare(kernel, &mut criterion, &mut report);
    }
    criterion.final_summary();
    println!("{report}");
    if let Some(ratio) = report.ratio("coremark", "wasmtime") {
        let verdict = if ratio <= TARGET { "met" } else { "missed" };
        println!("target: coremark at most {TARGET}; {verdict}");
    }
}

fn compare(kernel: &Kernel, criterion: &mut Criterion, report: &mut Report) {
    let mut ours = seqfault_runner(kernel.wasm);
    let mut theirs = wasmtime_runner(kernel.wasm);
    for iterations in [0, 1, kernel.iterations] {
        assert_eq!(ours(iterations), theirs(iterations), "checksum of {}", kernel.name);
    }
    Contest::new(kernel.name)
        .contender("seqfault", |samples| repeat(samples, || ours(kernel.iterations)))
        .contender("wasmtime", |samples| repeat(samples, || theirs(kernel.iterations)))
        .run(criterion, report);
}

fn repeat(samples: u64, mut run: impl FnMut() -> u32) -> Duration {
    Clock::Thread.time(|| {
        for _ in 0..samples {
            black_box(run());
        }
    })
}

fn seqfault_runner(wasm: &[u8]) -> impl FnMut(u32) -> u32 {
    use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
    let mut config = Config::new();
    config.compilation(Compilation::Eager);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, wasm).expect("a valid kernel");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a kernel without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, "run").expect("the export");
    move |iterations| run.call(&mut store, iterations).expect("no trap")
}

fn wasmtime_runner(wasm: &[u8]) -> impl FnMut(u32) -> u32 {
    use wasmtime::{Engine, Instance, Module, Store};
    let engine = Engine::default();
    let module = Module::new(&engine, wasm).expect("a valid kernel");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a kernel without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, "run").expect("the export");
    move |iterations| run.call(&mut store, iterations).expect("no trap")
}
