//! Litmus tests: what two threads may see of each other's accesses to one shared memory.
//!
//! Each test has two threads, a few accesses, and outcomes that the memory model forbids. It runs a million times (`SEQFAULT_LITMUS_RUNS`
//! sets how often), in groups: the threads meet at a barrier, then each goes through a group of runs, every one of
//! which has cells of its own, and they meet again. That the harness can see a weak outcome at all is shown by the plain
//! store-buffering test: there the outcome that is forbidden for atomics must turn up.
//!
//! Sources: the threads proposal, "Relaxed memory model"; the names are those of the literature (Alglave, Maranget,
//! Tautschnig, "Herding cats", 2014).

use seqfault::{
    Compilation, Config, Engine, Feature, Linker, MemoryType, Module, PagerKind, SharedMemory,
    Store,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Runs of each test, unless the environment says otherwise.
const RUNS: u32 = 1_000_000;
/// How often a test is repeated that has not seen what it must see.
const PATIENCE: u32 = 20;
/// Runs in one memory: growth by a page in each of them stays below the 65,536 pages that there can be.
const BATCH: u32 = 1 << 15;
/// Pages of a memory before it grows: one for the barrier, one for cells, eight for results, 16 to be discarded.
const PAGES: u32 = 26;
/// Where the results of each thread are.
const RESULTS: [usize; 2] = [0x2_0000, 0x6_0000];

/// The accesses of one run. `$c` is the offset of its cells: x at 0x10000, y at 0x14000, data at 0x18000, flag at 0x1c000, and in
/// tests with groups of 16 a page of its own at `$page`. The run writes `$new`; the cells hold `$old`, one less.
/// What was seen is left in `$seen`.
type Body<'a> = &'a str;

/// One test. Bits of results say "new".
struct Litmus<'a> {
    /// Runs between two meetings.
    group: u32,
    /// Done by the first thread for each run of a group, before the threads meet.
    before: Body<'a>,
    threads: [Body<'a>; 2],
    /// What the two threads saw together, as `seen[0] | seen[1] << 2`, and must not.
    forbidden: &'static [u32],
    /// What they must see at least once.
    required: &'static [u32],
}

const HELPERS: &str = r#"
    ;; Waits until the counter at `at`, after adding one to it, has reached `target`.
    (func $meet (param $at i32) (param $target i32) (local $spins i32) (local $now i32)
      (if (i32.eq (i32.add (i32.atomic.rmw.add (local.get $at) (i32.const 1)) (i32.const 1)) (local.get $target))
        (then (drop (memory.atomic.notify (local.get $at) (i32.const 1))) (return)))
      (loop $again
        (if (i32.ge_u (local.tee $now (i32.atomic.load (local.get $at))) (local.get $target)) (then (return)))
        (br_if $again (i32.lt_u (local.tee $spins (i32.add (local.get $spins) (i32.const 1))) (i32.const 5000)))
        ;; The other one does not run: the processor may be wanted elsewhere.
        (drop (memory.atomic.wait32 (local.get $at) (local.get $now) (i64.const -1)))
        (br $again)))
    ;; Whether it is the new value; traps when it is neither that nor the old one.
    (func $is_new (param $value i32) (param $old i32) (result i32)
      (if (i32.gt_u (i32.sub (local.get $value) (local.get $old)) (i32.const 1)) (then unreachable))
      (i32.sub (local.get $value) (local.get $old)))
    ;; Whether it is discarded; traps when it is neither that nor what was there.
    (func $is_gone (param $value i32) (param $there i32) (result i32)
      (if (local.get $value)
        (then (if (i32.ne (local.get $value) (local.get $there)) (then unreachable))))
      (i32.eqz (local.get $value)))
"#;

impl Litmus<'_> {
    fn module(&self) -> String {
        let group = self.group;
        let thread = |at: usize| {
            let before =
                if at == 0 { self.loop_over_group("before", self.before) } else { String::new() };
            let results = RESULTS[at];
            let body = self.loop_over_group("runs", &format!(
                "{}
                 (i32.store offset={results} (i32.shl (i32.add (local.get $first) (local.get $k)) (i32.const 2))
                   (local.get $seen))",
                self.threads[at]
            ));
            format!(
                r#"(func (export "t{at}") (param $runs i32)
                    (local $first i32) (local $k i32) (local $c i32) (local $page i32)
                    (local $old i32) (local $new i32) (local $seen i32) (local $data i64)
                  (loop $next
                    (local.set $new (i32.add (local.get $old) (i32.const 1)))
                    {before}
                    (call $meet (i32.const 0) (i32.shl (local.get $new) (i32.const 1)))
                    {body}
                    (call $meet (i32.const 128) (i32.shl (local.get $new) (i32.const 1)))
                    (local.set $old (local.get $new))
                    (local.set $first (i32.add (local.get $first) (i32.const {group})))
                    (br_if $next (i32.lt_u (local.get $first) (local.get $runs)))))"#
            )
        };
        format!(
            r#"(module (import "" "memory" (memory {PAGES} 65536 shared)) {HELPERS} {} {})"#,
            thread(0),
            thread(1)
        )
    }

    fn loop_over_group(&self, label: &str, body: &str) -> String {
        format!(
            r#"(local.set $k (i32.const 0))
               (loop ${label}
                 (local.set $c (i32.shl (local.get $k) (i32.const 6)))
                 (local.set $page (i32.add (i32.const 0xa0000) (i32.shl (local.get $k) (i32.const 16))))
                 {body}
                 (br_if ${label} (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const {}))))"#,
            self.group
        )
    }

    /// Runs the test; how often each outcome was seen.
    fn outcomes(&self, config: &Config, runs: u32) -> BTreeMap<u32, u64> {
        let mut config = config.clone();
        config.compilation(Compilation::Eager).wasm_feature(Feature::MemoryControl, true);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, self.module()).unwrap();
        let mut outcomes = BTreeMap::new();
        let mut left = runs.next_multiple_of(self.group);
        while left > 0 {
            let batch = left.min(BATCH);
            left -= batch;
            let memory = SharedMemory::new(&engine, MemoryType::shared(PAGES, 65_536)).unwrap();
            thread::scope(|scope| {
                for name in ["t0", "t1"] {
                    scope.spawn(|| run_thread(&engine, &module, &memory, name, batch));
                }
            });
            let [first, second] = RESULTS.map(|at| results(&memory, at, batch));
            for (first, second) in first.zip(second) {
                *outcomes.entry(first | second << 2).or_default() += 1;
            }
        }
        outcomes
    }

    /// Runs the test, in equal parts with each configuration.
    fn check(&self, configs: &[Config]) {
        let _alone = alone();
        let runs = std::env::var("SEQFAULT_LITMUS_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
        for config in configs {
            let runs = runs / configs.len() as u32;
            let mut outcomes = self.outcomes(config, runs);
            // On a busy machine the threads may never have run at the same time.
            for _ in 0..PATIENCE {
                if self.required.iter().all(|outcome| outcomes.contains_key(outcome)) {
                    break;
                }
                for (outcome, count) in self.outcomes(config, runs) {
                    *outcomes.entry(outcome).or_default() += count;
                }
            }
            println!("outcomes: {outcomes:?}");
            for forbidden in self.forbidden {
                assert!(
                    !outcomes.contains_key(forbidden),
                    "forbidden {forbidden:#b}: {outcomes:?}"
                );
            }
            for required in self.required {
                assert!(outcomes.contains_key(required), "never {required:#b}: {outcomes:?}");
            }
        }
    }
}

fn run_thread(engine: &Engine, module: &Module, memory: &SharedMemory, name: &str, runs: u32) {
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    linker.define(&store, "", "memory", memory.clone()).unwrap();
    let instance = linker.instantiate(&mut store, module).unwrap();
    let thread = instance.get_typed_func::<u32, ()>(&mut store, name).unwrap();
    thread.call(&mut store, runs).unwrap();
}

fn results(memory: &SharedMemory, at: usize, runs: u32) -> impl Iterator<Item = u32> {
    let mut bytes = vec![0; runs as usize * 4];
    memory.read(at, &mut bytes).unwrap();
    let words: Vec<u32> =
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    words.into_iter()
}

/// The tests need both processors for themselves.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For tests of nothing but accesses.
fn plain() -> [Config; 1] {
    [Config::new()]
}

/// All ways in which pages come.
fn pagers() -> [Config; 2] {
    let mut configs = [Config::new(), Config::new()];
    configs[1].pager(PagerKind::Protect);
    configs
}

/// Runs of a group, where nothing limits them.
const MANY: u32 = 256;
/// Runs of a group in which each has a page to discard.
const FEW: u32 = 16;

/// A cell of this run: whether it is new.
macro_rules! is_new {
    ($load:literal) => {
        concat!("(call $is_new (", $load, " (local.get $c)) (local.get $old))")
    };
}

/// What was seen: the first value is new; and, if so, the second one.
macro_rules! see {
    ($first:expr, $second:expr) => {
        concat!(
            "(local.set $seen ",
            $first,
            ")
             (local.set $seen (i32.or (local.get $seen) (i32.shl ",
            $second,
            " (i32.const 1))))"
        )
    };
}

const WRITE_DATA: &str = "(i32.store offset=0x18000 (local.get $c) (local.get $new))";

/// Message passing: who sees the flag sees the data.
#[test]
fn mp_atomic() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            "(i32.atomic.store offset=0x18000 (local.get $c) (local.get $new))
             (i32.atomic.store offset=0x1c000 (local.get $c) (local.get $new))",
            see!(
                is_new!("i32.atomic.load offset=0x1c000"),
                is_new!("i32.atomic.load offset=0x18000")
            ),
        ],
        forbidden: &[0b0100],
        required: &[0b0000, 0b1100],
    }
    .check(&plain());
}

/// The same with plain data and an atomic flag.
#[test]
fn mp_plain_data() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            "(i32.store offset=0x18000 (local.get $c) (local.get $new))
             (i32.atomic.store offset=0x1c000 (local.get $c) (local.get $new))",
            see!(is_new!("i32.atomic.load offset=0x1c000"), is_new!("i32.load offset=0x18000")),
        ],
        forbidden: &[0b0100],
        required: &[0b0000, 0b1100],
    }
    .check(&plain());
}

/// Message passing with accesses of different sizes: the flag is written as 64 bits and read as the upper 32 of them, the
/// data are written as two halves and read as one.
#[test]
fn mp_mixed_sizes() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            "(i32.atomic.store offset=0x18000 (local.get $c) (local.get $new))
             (i32.atomic.store offset=0x18004 (local.get $c) (local.get $new))
             (i64.atomic.store offset=0x1c000 (local.get $c)
               (i64.mul (i64.extend_i32_u (local.get $new)) (i64.const 0x100000001)))",
            concat!(
                "(local.set $seen ", is_new!("i32.atomic.load offset=0x1c004"), ")
                 (local.set $data (i64.atomic.load offset=0x18000 (local.get $c)))
                 (if (i32.and
                       (call $is_new (i32.wrap_i64 (local.get $data)) (local.get $old))
                       (call $is_new (i32.wrap_i64 (i64.shr_u (local.get $data) (i64.const 32))) (local.get $old)))
                   (then (local.set $seen (i32.or (local.get $seen) (i32.const 2)))))"
            ),
        ],
        forbidden: &[0b0100],
        required: &[0b0000, 0b1100],
    }
    .check(&plain());
}

/// Load buffering: nobody sees what has not been written yet.
#[test]
fn lb_atomic() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            concat!(
                "(local.set $seen ",
                is_new!("i32.atomic.load offset=0x10000"),
                ")
             (i32.atomic.store offset=0x14000 (local.get $c) (local.get $new))"
            ),
            concat!(
                "(local.set $seen ",
                is_new!("i32.atomic.load offset=0x14000"),
                ")
             (i32.atomic.store offset=0x10000 (local.get $c) (local.get $new))"
            ),
        ],
        forbidden: &[0b0101],
        required: &[0b0001, 0b0100],
    }
    .check(&plain());
}

/// Store buffering with plain accesses: both may miss each other, because of the processor's store buffers. The proof that weak
/// outcomes can be seen here.
#[test]
fn sb_plain_is_weak() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            concat!(
                "(i32.store offset=0x10000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_new!("i32.load offset=0x14000"),
                ")"
            ),
            concat!(
                "(i32.store offset=0x14000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_new!("i32.load offset=0x10000"),
                ")"
            ),
        ],
        forbidden: &[],
        required: &[0b0000, 0b0001, 0b0100],
    }
    .check(&plain());
}

/// Store buffering with atomics: one of the two sees the other.
#[test]
fn sb_atomic() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            concat!(
                "(i32.atomic.store offset=0x10000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_new!("i32.atomic.load offset=0x14000"),
                ")"
            ),
            concat!(
                "(i32.atomic.store offset=0x14000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_new!("i32.atomic.load offset=0x10000"),
                ")"
            ),
        ],
        forbidden: &[0b0000],
        required: &[0b0001, 0b0100],
    }
    .check(&plain());
}

/// Store buffering with plain accesses and a fence between them.
#[test]
fn sb_fence() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            concat!(
                "(i32.store offset=0x10000 (local.get $c) (local.get $new)) (atomic.fence)
             (local.set $seen ",
                is_new!("i32.load offset=0x14000"),
                ")"
            ),
            concat!(
                "(i32.store offset=0x14000 (local.get $c) (local.get $new)) (atomic.fence)
             (local.set $seen ",
                is_new!("i32.load offset=0x10000"),
                ")"
            ),
        ],
        forbidden: &[0b0000],
        required: &[0b0001, 0b0100],
    }
    .check(&plain());
}

const GROW: &str = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";

/// Whether the memory has been grown by this run: 26 pages, and one of each run up to it.
macro_rules! is_grown {
    () => {
        "(i32.gt_u (memory.size) (i32.add (i32.const 26) (i32.add (local.get $first) (local.get $k))))"
    };
}

/// `memory.grow` as the message: who sees the new size sees what was written before it.
#[test]
fn mp_grow() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            &[WRITE_DATA, GROW].concat(),
            see!(is_grown!(), is_new!("i32.load offset=0x18000")),
        ],
        forbidden: &[0b0100],
        required: &[0b0000, 0b1100],
    }
    .check(&pagers());
}

/// Who sees the new size can use the new page: its last word is zero, and no trap.
#[test]
fn mp_grow_then_touch() {
    Litmus {
        group: FEW,
        before: "",
        threads: [
            GROW,
            concat!("(local.set $seen ", is_grown!(), ")
             (if (local.get $seen) (then
               (if (i32.load (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4))) (then unreachable))))"),
        ],
        forbidden: &[],
        required: &[0b0000, 0b0100],
    }
    .check(&pagers());
}

/// Store buffering with `memory.grow` and `memory.size` on one side.
#[test]
fn sb_grow() {
    Litmus {
        group: MANY,
        before: "",
        threads: [
            &[GROW, "(local.set $seen ", is_new!("i32.atomic.load offset=0x14000"), ")"].concat(),
            concat!(
                "(i32.atomic.store offset=0x14000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_grown!(),
                ")"
            ),
        ],
        forbidden: &[0b0000],
        required: &[0b0001, 0b0100],
    }
    .check(&pagers());
}

const FILL: &str = "(i32.store (local.get $page) (local.get $new))";
const DISCARD: &str = "(memory.discard (local.get $page) (i32.const 65536))";

/// Whether this run's page has been discarded.
macro_rules! is_gone {
    () => {
        "(call $is_gone (i32.atomic.load (local.get $page)) (local.get $new))"
    };
}

/// `memory.discard` as the message: who sees zero sees what was written before the discard.
#[test]
fn mp_discard() {
    Litmus {
        group: FEW,
        before: FILL,
        threads: [
            &[WRITE_DATA, DISCARD].concat(),
            see!(is_gone!(), is_new!("i32.load offset=0x18000")),
        ],
        forbidden: &[0b0100],
        required: &[0b1100],
    }
    .check(&pagers());
}

/// Store buffering with a discard on one side: when the other one's access still finds the old contents, its store came first.
#[test]
fn sb_discard() {
    Litmus {
        group: FEW,
        before: FILL,
        threads: [
            &[DISCARD, "(local.set $seen ", is_new!("i32.atomic.load offset=0x14000"), ")"]
                .concat(),
            concat!(
                "(i32.atomic.store offset=0x14000 (local.get $c) (local.get $new))
             (local.set $seen ",
                is_gone!(),
                ")"
            ),
        ],
        forbidden: &[0b0000],
        required: &[0b0001],
    }
    .check(&pagers());
}
