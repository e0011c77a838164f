//! `memory.copy`, `memory.fill`, `memory.init`, `array.copy` and `array.fill`, in seqfault and in Wasmtime: lengths, alignments
//! and overlaps.
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

/// An instruction, and the function of the module that has it in a loop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Copy,
    Fill,
    Init,
    /// Of bytes.
    ArrayCopy,
    ArrayFill(Element),
}

/// What the array that is filled consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    I8,
    I32,
    V128,
}

impl Element {
    const ALL: [Element; 3] = [Element::I8, Element::I32, Element::V128];

    fn name(self) -> &'static str {
        match self {
            Element::I8 => "i8",
            Element::I32 => "i32",
            Element::V128 => "v128",
        }
    }

    fn size(self) -> u32 {
        match self {
            Element::I8 => 1,
            Element::I32 => 4,
            Element::V128 => 16,
        }
    }
}

impl What {
    const ALL: [What; 7] = [
        What::Copy,
        What::Fill,
        What::Init,
        What::ArrayCopy,
        What::ArrayFill(Element::I8),
        What::ArrayFill(Element::I32),
        What::ArrayFill(Element::V128),
    ];

    fn function(self) -> String {
        match self {
            What::Copy => "copy".to_owned(),
            What::Fill => "fill".to_owned(),
            What::Init => "init".to_owned(),
            What::ArrayCopy => "array.copy".to_owned(),
            What::ArrayFill(element) => format!("array.fill of {}", element.name()),
        }
    }

    fn instruction(self, len: &str) -> String {
        let (to, from) = ("(local.get 1)", "(local.get 2)");
        match self {
            What::Copy => format!("(memory.copy {to} {from} {len})"),
            What::Fill => format!("(memory.fill {to} {from} {len})"),
            What::Init => format!("(memory.init $data {to} {from} {len})"),
            What::ArrayCopy => {
                let array = "(global.get $i8)";
                format!("(array.copy $i8 $i8 {array} {to} {array} {from} {len})")
            }
            What::ArrayFill(element) => {
                let name = element.name();
                let value = match element {
                    Element::V128 => format!("(i32x4.splat {from})"),
                    _ => from.to_owned(),
                };
                format!("(array.fill ${name} (global.get ${name}) {to} {value} {len})")
            }
        }
    }

    /// Bytes of what it counts.
    fn unit(self) -> u32 {
        match self {
            What::ArrayFill(element) => element.size(),
            _ => 1,
        }
    }
}

/// One operation, in bytes: for a fill `from` is the value.
#[derive(Clone, Copy)]
struct Operation {
    what: What,
    to: u32,
    from: u32,
    len: u32,
    constant: bool,
}

impl Operation {
    fn name(&self) -> String {
        let Operation { what, to, from, len, .. } = *self;
        let constant = if self.constant { " (constant)" } else { "" };
        let function = what.function();
        match what {
            What::Copy => {
                format!("{function} {len}{constant}, by {}", i64::from(to) - i64::from(from))
            }
            _ => format!("{function} {len}{constant} at {to}"),
        }
    }

    /// The function that does it as often as it is told.
    fn function(&self) -> String {
        let name = self.what.function();
        if self.constant { format!("{name}{}", self.len) } else { name }
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
    let operation = |what, to, from, len| Operation { what, to, from, len, constant: false };
    let mut all = Vec::new();
    for len in LENGTHS {
        all.push(operation(What::Copy, 2 << 20, 4 << 20, len));
        all.push(operation(What::Copy, (2 << 20) + 3, (4 << 20) + 13, len));
        all.push(operation(What::Fill, (2 << 20) + 5, 7, len));
    }
    for len in [0, 16, 100, 1024, 65_536, 1 << 20] {
        all.push(operation(What::Init, (2 << 20) + 5, 9, len));
        all.push(operation(What::ArrayCopy, 2 << 20, 4 << 20, len));
        for element in Element::ALL {
            all.push(operation(What::ArrayFill(element), 2 << 20, 7, len & !15));
        }
    }
    for len in [16, 100, 1024, 16_384, 1 << 20] {
        for by in [1, 8, 64, 4096] {
            all.push(operation(What::Copy, (2 << 20) + by, 2 << 20, len));
            all.push(operation(What::Copy, 2 << 20, (2 << 20) + by, len));
        }
        all.push(operation(What::ArrayCopy, (2 << 20) + 8, 2 << 20, len));
    }
    for len in CONSTANTS {
        for (what, from) in [(What::Copy, 4 << 20), (What::Fill, 7)] {
            all.push(Operation { what, to: 2 << 20, from, len, constant: true });
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
        let what = if copies { What::Copy } else { What::Fill };
        Operation { what, to, from, len, constant: false }
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
    let function = |name: &str, operation: &str| {
        format!(
            "(func (export \"{name}\") (param $times i32) (param i32 i32 i32)
                (loop $again
                    {operation}
                    (br_if $again
                        (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))"
        )
    };
    let data = "x".repeat((1 << 20) + 64);
    let mut text = format!("(module (memory {}) (data $data \"{data}\")", BYTES / 65_536);
    for element in Element::ALL {
        let (name, len) = (element.name(), BYTES / element.size());
        let _ = write!(
            text,
            "(type ${name} (array (mut {name})))
             (global ${name} (ref ${name}) (array.new_default ${name} (i32.const {len})))"
        );
    }
    for what in What::ALL {
        text += &function(&what.function(), &what.instruction("(local.get 3)"));
    }
    for what in [What::Copy, What::Fill] {
        for len in CONSTANTS {
            let operation = what.instruction(&format!("(i32.const {len})"));
            text += &function(&format!("{}{len}", what.function()), &operation);
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
                let Operation { what, to, from, len, .. } = *operation;
                let (to, len) = (to / what.unit(), len / what.unit());
                function.call(&mut store, (times, to, from, len)).expect("no trap");
            }
        }
    };
}

runner!(seqfault, seqfault_runner, seqfault::Config::new());
runner!(
    wasmtime,
    wasmtime_runner,
    wasmtime::Config::new().wasm_gc(true).wasm_function_references(true)
);
