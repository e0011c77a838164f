//! `memory.copy` and `memory.fill`, in seqfault and in Wasmtime: lengths, alignments and overlaps.
//!
//! Beside a fixed list there is a drawn one, by a seed that is printed (`SEQFAULT_BENCH_SEED` repeats
//! it), so that nothing is tuned to the list. All pages have been touched before.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Kind, Random, Scoreboard};
use std::fmt::Write;
use std::time::Duration;

/// Lengths that are constants in the code.
const CONSTANTS: [u32; 8] = [1, 4, 8, 16, 24, 48, 64, 100];
const LENGTHS: [u32; 15] =
    [0, 3, 8, 16, 17, 32, 64, 100, 256, 1000, 1024, 4096, 16_384, 65_536, 1 << 20];
/// How many operations are drawn.
const DRAWN: usize = 20;
/// Bytes of memory that operations stay in.
const BYTES: u32 = 8 << 20;

/// One operation: for a fill `from` is the byte.
#[derive(Clone, Copy)]
struct Operation {
    copies: bool,
    to: u32,
    from: u32,
    len: u32,
    constant: bool,
}

impl Operation {
    fn name(&self) -> String {
        let Operation { to, from, len, .. } = *self;
        let constant = if self.constant { " (constant)" } else { "" };
        match self.copies {
            true => format!("copy {len}{constant}, by {}", i64::from(to) - i64::from(from)),
            false => format!("fill {len}{constant} at {to}"),
        }
    }

    /// The function that does it as often as it is told.
    fn function(&self) -> String {
        let name = if self.copies { "copy" } else { "fill" };
        if self.constant { format!("{name}{}", self.len) } else { name.to_owned() }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args();
    let mut board = Scoreboard::of_times("bulk", &["wasmtime"], &[], &[]);
    let text = module();
    let (mut ours, mut theirs) = (seqfault_runner(&text), wasmtime_runner(&text));
    for operation in fixed().into_iter().chain(drawn()) {
        compare(operation, &mut ours, &mut theirs, &mut criterion, &mut board);
    }
    criterion.final_summary();
    println!("{board}");
}

/// Copies a megabyte away, and onto themselves by some bytes up and down; fills.
fn fixed() -> Vec<Operation> {
    let operation = |copies, to, from, len| Operation { copies, to, from, len, constant: false };
    let mut all = Vec::new();
    for len in LENGTHS {
        all.push(operation(true, 2 << 20, 4 << 20, len));
        all.push(operation(true, (2 << 20) + 3, (4 << 20) + 13, len));
        all.push(operation(false, (2 << 20) + 5, 7, len));
    }
    for len in [16, 100, 1024, 16_384, 1 << 20] {
        for by in [1, 8, 64, 4096] {
            all.push(operation(true, (2 << 20) + by, 2 << 20, len));
            all.push(operation(true, 2 << 20, (2 << 20) + by, len));
        }
    }
    for len in CONSTANTS {
        for copies in [true, false] {
            let from = if copies { 4 << 20 } else { 7 };
            all.push(Operation { copies, to: 2 << 20, from, len, constant: true });
        }
    }
    all
}

fn drawn() -> Vec<Operation> {
    let mut random = Random::seeded();
    let mut below = |bound: u32| random.below(bound);
    let mut draw = || {
        let longest = 1 << (4 + below(17));
        let (copies, len, from) = (below(3) != 0, below(longest), below(BYTES / 2));
        let to = if below(2) == 0 { from + below(2 * len + 64) } else { below(BYTES / 2) };
        Operation { copies, to, from, len, constant: false }
    };
    (0..DRAWN).map(|_| draw()).collect()
}

fn compare(
    operation: Operation,
    ours: &mut impl FnMut(&Operation, u32),
    theirs: &mut impl FnMut(&Operation, u32),
    criterion: &mut Criterion,
    board: &mut Scoreboard,
) {
    // As many in a row as take about 20 µs, so that the call of the function does not count.
    let times = (400_000 / (operation.len + 200)).max(1);
    let per_operation = |samples: u64, run: &mut dyn FnMut(&Operation, u32)| {
        let took = Clock::Thread.time(|| (0..samples).for_each(|_| run(&operation, times)));
        took / times
    };
    Contest::new(operation.name())
        .contender("seqfault", |samples| per_operation(samples, ours))
        .contender("wasmtime", |samples| per_operation(samples, theirs))
        .compete(Kind::Bulk(operation.len), 1, criterion, board);
}

fn module() -> String {
    let function = |name: &str, len: &str| {
        let operation = |name: &str| format!("(memory.{name} (local.get 1) (local.get 2) {len})");
        format!(
            "(func (export \"{name}\") (param $times i32) (param i32 i32 i32)
                (loop $again
                    {}
                    (br_if $again
                        (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))",
            operation(&name[..4])
        )
    };
    let mut text = format!("(module (memory {})", BYTES / 65_536);
    for name in ["copy", "fill"] {
        text += &function(name, "(local.get 3)");
        for len in CONSTANTS {
            text += &function(&format!("{name}{len}"), &format!("(i32.const {len})"));
        }
    }
    let _ = write!(
        text,
        "(func (export \"touch\") (memory.fill (i32.const 0) (i32.const 1) (i32.const {BYTES}))))"
    );
    text
}

macro_rules! runner {
    ($engine:ident, $name:ident, $config:expr) => {
        fn $name(text: &str) -> impl FnMut(&Operation, u32) {
            use $engine::{Engine, Instance, Module, Store};
            let engine = Engine::new(&$config).expect("an engine");
            let module = Module::new(&engine, text).expect("a valid module");
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
            let touch = instance.get_typed_func::<(), ()>(&mut store, "touch").expect("exported");
            touch.call(&mut store, ()).expect("no trap");
            let mut known = std::collections::HashMap::new();
            move |operation, times| {
                let function = known.entry(operation.function()).or_insert_with_key(|name| {
                    let typed =
                        instance.get_typed_func::<(u32, u32, u32, u32), ()>(&mut store, name);
                    typed.expect("exported")
                });
                let Operation { to, from, len, .. } = *operation;
                function.call(&mut store, (times, to, from, len)).expect("no trap");
            }
        }
    };
}

runner!(seqfault, seqfault_runner, seqfault::Config::new());
runner!(wasmtime, wasmtime_runner, wasmtime::Config::new());
