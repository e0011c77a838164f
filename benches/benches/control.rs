//! Control that leaves the usual paths: exceptions, and tail calls without end.
//!
//! Both engines run the same text, compiled ahead. Catching by reference makes objects in both: what
//! their collectors do is part of `cleanup`.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report};
use std::hint::black_box;
use std::time::Duration;

/// How much slower than Wasmtime each of them may be.
const TARGET: f64 = 1.1;

const EXCEPTIONS: &str = include_str!("../kernels/exceptions.wat");
const INTERPRETER: &str = include_str!("../kernels/interpreter.wat");

/// Module, export, and iterations that take some milliseconds.
const CASES: [(&str, &str, &str, u32); 5] = [
    ("interpreter", INTERPRETER, "run", 100_000),
    ("throw near", EXCEPTIONS, "near", 10_000),
    ("throw deep", EXCEPTIONS, "deep", 2_000),
    ("throw cleanup", EXCEPTIONS, "cleanup", 5_000),
    ("no throw", EXCEPTIONS, "quiet", 1_000_000),
];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    let mut report = Report::new("control");
    for (name, text, export, iterations) in CASES {
        let mut ours = seqfault_runner(text, export);
        let mut theirs = wasmtime_runner(text, export);
        for iterations in [0, 1, iterations] {
            assert_eq!(ours(iterations), theirs(iterations), "checksum of {name}");
        }
        Contest::new(name)
            .contender("seqfault", |samples| repeat(samples, || ours(iterations)))
            .contender("wasmtime", |samples| repeat(samples, || theirs(iterations)))
            .run(&mut criterion, &mut report);
    }
    criterion.final_summary();
    println!("{report}");
    for (name, ..) in CASES {
        if let Some(ratio) = report.ratio(name, "wasmtime") {
            let verdict = if ratio <= TARGET { "met" } else { "missed" };
            println!("target: {name} at most {TARGET}; {verdict}");
        }
    }
}

fn repeat(samples: u64, mut run: impl FnMut() -> u32) -> Duration {
    Clock::Thread.time(|| {
        for _ in 0..samples {
            black_box(run());
        }
    })
}

fn seqfault_runner(text: &str, export: &str) -> impl FnMut(u32) -> u32 {
    use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
    let mut config = Config::new();
    config.compilation(Compilation::Eager);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, text).expect("a valid module");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a module without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, export).expect("the export");
    move |iterations| run.call(&mut store, iterations).expect("no trap")
}

fn wasmtime_runner(text: &str, export: &str) -> impl FnMut(u32) -> u32 {
    use wasmtime::{Config, Engine, Instance, Module, Store};
    let mut config = Config::new();
    config.wasm_exceptions(true);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, text).expect("a valid module");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("a module without imports");
    let run = instance.get_typed_func::<u32, u32>(&mut store, export).expect("the export");
    move |iterations| run.call(&mut store, iterations).expect("no trap")
}
