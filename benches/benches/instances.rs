//! The life of instances and their memories: made, touched, grown, dropped.
//!
//! Contenders are seqfault with each pager and Wasmtime's pool, as it comes and tuned. With several threads each
//! has its own stores; the figure is what one thread's work costs while the others do the same, by the wall clock.
//!
//! Short works are repeated for a while on all threads, and counted.

use criterion::Criterion;
use seqfault_benches::{
    Clock, Contest, Kind, PEAK, POOLS, Row, Scoreboard, Selection, Sustained, engines,
    in_each_setting, in_parallel, resident, sustained, wait_until_resident,
};
use std::cell::RefCell;
use std::sync::Barrier;
use std::time::Duration;

/// A module whose memory begins with `data`, and with `functions` functions in a table.
fn module(data: &[u8], functions: usize) -> String {
    let data: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let table = format!(
        "(table {functions} funcref) {} (elem (i32.const 0) {})",
        "(func (param i32))".repeat(functions),
        (0..functions).map(|func| format!("{func} ")).collect::<String>(),
    );
    format!(
        r#"
    (module
      {table}
      (memory (export "memory") 4)
      (data (i32.const 0) "{data}")
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
"#
    )
}

/// Bytes of a wasm page.
const PAGE: u32 = 1 << 16;
/// Functions in a large table.
const FUNCTIONS: usize = 10_000;
/// Bytes of initial data.
const DATA: usize = 192 << 10;
/// What "dense" touches.
const LARGE: u32 = 256 << 20;
/// What a program of some size touches.
const MEDIUM: u32 = 16 << 20;
/// Pages that a memory is grown by before it is replaced.
const GROWTH: u64 = 16_000;

/// On how many threads a work is done.
const THREADS: [(u32, &str); 5] = [(1, "1"), (2, "2"), (4, "4"), (8, "8"), (16, "16")];

/// How the work is done.
struct Scene {
    threads: u32,
    clock: Clock,
    /// Where the threads wait for each other.
    together: Barrier,
}

impl Scene {
    fn new(threads: u32) -> Scene {
        // One thread is not disturbed by what else runs; waiting counts only where there are several.
        let clock = if threads == 1 { Clock::Thread } else { Clock::Wall };
        Scene { threads, clock, together: Barrier::new(threads as usize) }
    }
}

/// The measurements of one engine: its API is the same word for word in both.
macro_rules! engine_under_test {
    ($module:ident, $engine:ident) => {
        mod $module {
            use super::{
                Clock, DATA, Duration, GROWTH, LARGE, MEDIUM, PAGE, Scene, resident,
                wait_until_resident,
            };
            use $engine::{Config, Engine, InstancePre, Linker, Module, Store};

            pub(crate) struct Subject {
                engine: Engine,
                empty: InstancePre<()>,
                plain: InstancePre<()>,
                with_data: InstancePre<()>,
                with_table: InstancePre<()>,
            }

            impl Subject {
                pub(crate) fn new(config: &Config) -> Subject {
                    let engine = Engine::new(config).expect("an engine");
                    let prepare = |text: &str| {
                        let module = Module::new(&engine, text).expect("a valid module");
                        Linker::new(&engine).instantiate_pre(&module).expect("no imports")
                    };
                    // No page of it is all zeros or like another.
                    let data: Vec<u8> =
                        (0..DATA as u32).map(|at| (at * at >> 12) as u8 | 1).collect();
                    Subject {
                        empty: prepare("(module)"),
                        plain: prepare(&super::module(&[], 0)),
                        with_data: prepare(&super::module(&data, 0)),
                        with_table: prepare(&super::module(&[], super::FUNCTIONS)),
                        engine,
                    }
                }

                /// An instance of an empty module is made and dropped.
                pub(crate) fn empty(&self, scene: &Scene, count: u64) -> Duration {
                    scene.clock.time(|| {
                        for _ in 0..count {
                            let mut store = Store::new(&self.engine, ());
                            self.empty.instantiate(&mut store).expect("room");
                        }
                    })
                }

                /// An instance is made, touches a page, and is dropped.
                pub(crate) fn live(&self, scene: &Scene, count: u64) -> Duration {
                    self.lives(&self.plain, scene, count)
                }

                /// An instance is made, touches 16 MiB, and is dropped.
                pub(crate) fn live_large(&self, scene: &Scene, count: u64) -> Duration {
                    scene.clock.time(|| {
                        for _ in 0..count {
                            self.touched(scene.clock, MEDIUM);
                        }
                    })
                }

                /// As `live`, with initial data.
                pub(crate) fn live_with_data(&self, scene: &Scene, count: u64) -> Duration {
                    self.lives(&self.with_data, scene, count)
                }

                /// As `live`, with a large table of functions.
                pub(crate) fn live_with_table(&self, scene: &Scene, count: u64) -> Duration {
                    self.lives(&self.with_table, scene, count)
                }

                fn lives(&self, pre: &InstancePre<()>, scene: &Scene, count: u64) -> Duration {
                    scene.clock.time(|| {
                        for _ in 0..count {
                            let mut store = Store::new(&self.engine, ());
                            let instance = pre.instantiate(&mut store).expect("room");
                            let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch");
                            touch.expect("the export").call(&mut store, PAGE).expect("no trap");
                        }
                    })
                }

                /// `memory.grow` by a page.
                pub(crate) fn grow(&self, scene: &Scene, count: u64) -> Duration {
                    let mut time = Duration::ZERO;
                    let mut left = count;
                    while left > 0 {
                        let pages = left.min(GROWTH);
                        left -= pages;
                        let mut store = Store::new(&self.engine, ());
                        let instance = self.plain.instantiate(&mut store).expect("room");
                        let grow = instance.get_typed_func::<u32, ()>(&mut store, "grow");
                        let grow = grow.expect("the export");
                        time += scene.clock.time(|| {
                            grow.call(&mut store, pages as u32).expect("no trap");
                        });
                    }
                    time
                }

                /// The first touch of each page of a large memory.
                pub(crate) fn touch(&self, scene: &Scene, count: u64) -> Duration {
                    (0..count).map(|_| self.large(scene.clock).0).sum()
                }

                /// Dropping the store that has such a memory, all touched, at the same time as the
                /// other threads.
                pub(crate) fn drop(&self, scene: &Scene, count: u64) -> Duration {
                    let once = |_| {
                        let (_, store) = self.large(scene.clock);
                        scene.together.wait();
                        scene.clock.time(|| drop(store))
                    };
                    (0..count).map(once).sum()
                }

                /// The same until the system has the memory back: what the process used of the
                /// processors meanwhile, for each thread.
                pub(crate) fn give_back(&self, scene: &Scene, count: u64) -> Duration {
                    // The tuned pool keeps some.
                    let most_kept = 4 << 20;
                    let once = |_| {
                        let (_, store) = self.large(scene.clock);
                        scene.together.wait();
                        let given = u64::from(scene.threads) * (u64::from(LARGE) - most_kept);
                        let left = resident().saturating_sub(given);
                        scene.together.wait();
                        Clock::Process.time(|| {
                            drop(store);
                            if scene.together.wait().is_leader() {
                                wait_until_resident(left);
                            }
                            scene.together.wait();
                        })
                    };
                    (0..count).map(once).sum::<Duration>() / scene.threads
                }

                fn large(&self, clock: Clock) -> (Duration, Store<()>) {
                    self.touched(clock, LARGE)
                }

                fn touched(&self, clock: Clock, size: u32) -> (Duration, Store<()>) {
                    let mut store = Store::new(&self.engine, ());
                    let instance = self.plain.instantiate(&mut store).expect("room");
                    let memory = instance.get_memory(&mut store, "memory").expect("the export");
                    memory.grow(&mut store, u64::from(size / PAGE - 4)).expect("room");
                    let touch = instance.get_typed_func::<u32, ()>(&mut store, "touch");
                    let touch = touch.expect("the export");
                    let time = clock.time(|| touch.call(&mut store, size).expect("no trap"));
                    (time, store)
                }
            }
        }
    };
}

engine_under_test!(ours, seqfault);
engine_under_test!(theirs, wasmtime);

struct Subjects {
    uffd: ours::Subject,
    protect: ours::Subject,
    pool: theirs::Subject,
    tuned: theirs::Subject,
}

impl Subjects {
    fn new() -> Subjects {
        use seqfault::PagerKind;
        Subjects {
            uffd: ours::Subject::new(&engines::ours(PagerKind::Uffd)),
            protect: ours::Subject::new(&engines::ours(PagerKind::Protect)),
            pool: theirs::Subject::new(&engines::pooling(64)),
            tuned: theirs::Subject::new(&engines::tuned(64)),
        }
    }
}

/// The time of the parts of the work that are measured, on average of the threads.
fn parts(scene: &Scene, count: u64, work: &(dyn Fn(u64) -> Duration + Sync)) -> Duration {
    in_parallel(scene.threads, count, work)
}

/// The time of the whole work on all threads, at the rate at which they do it for a while. Where many threads share few
/// processors, each may do a small work without another one beside it: only all of them together tell.
fn whole(scene: &Scene, count: u64, work: &(dyn Fn(u64) -> Duration + Sync)) -> Duration {
    match scene.threads {
        1 => work(count),
        threads => {
            let work = |count| _ = work(count);
            sustained(threads, count, work).wall
        }
    }
}

/// A contest of all contenders in one measurement: `work`, on each of some threads.
macro_rules! contest {
    ($subjects:ident, $name:expr, $span:ident, $method:ident, $threads:expr) => {{
        let scene = Scene::new($threads);
        let scene = std::rc::Rc::new(scene);
        macro_rules! work {
            ($subject:ident) => {{
                let subject = &$subjects.$subject;
                let scene = std::rc::Rc::clone(&scene);
                move |count| {
                    let scene: &Scene = &scene;
                    $span(scene, count, &|count| subject.$method(scene, count))
                }
            }};
        }
        Contest::new($name)
            .contender("uffd", work!(uffd))
            .contender("protect", work!(protect))
            .contender("pool", work!(pool))
            .contender("tuned", work!(tuned))
    }};
}

fn main() {
    if in_each_setting() {
        return;
    }
    let criterion = || {
        Criterion::default()
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600))
    };
    let mut quick = criterion().sample_size(30).configure_from_args();
    let mut beside = criterion().sample_size(10).configure_from_args();
    let mut slow = criterion().sample_size(10).configure_from_args();
    let mut board =
        Scoreboard::of_times("instances", &POOLS, &["peak throughput to this (bar)"], &[]);
    let mut selection = Selection::new(400);
    let subjects = Subjects::new();
    macro_rules! row {
        ($criterion:ident, $kind:expr, $work:expr, $span:ident $method:ident, $threads:expr) => {{
            let name = match $threads {
                1 => $work.to_owned(),
                threads => format!("{}, {threads} threads", $work),
            };
            let begin = selection.begin(&name);
            let contest = begin.then(|| contest!(subjects, &name, $span, $method, $threads));
            let medians = contest
                .map(|contest| contest.compete($kind, POOLS.len(), &mut $criterion, &mut board));
            medians.unwrap_or_default()
        }};
    }
    // How the total throughput of one of ours falls: all numbers of threads take turns.
    macro_rules! throughput {
        ($subject:ident, $work:expr, $method:ident) => {{
            let name = format!("{}: total throughput, 1 to 16 threads", $work);
            if selection.begin(&name) {
                let processor = THREADS.map(|_| RefCell::new(Vec::new()));
                let mut contest = Contest::new(format!("{name}, {}", stringify!($subject)));
                for ((threads, label), processor) in THREADS.into_iter().zip(&processor) {
                    let (scene, subject) = (Scene::new(threads), &subjects.$subject);
                    contest = contest.contender(label, move |count| {
                        let work = |count| _ = subject.$method(&scene, count);
                        let Sustained { wall, processor: used } = sustained(threads, count, work);
                        let works = count as f64 * f64::from(threads);
                        processor.borrow_mut().push(used.as_nanos() as f64 / works);
                        wall / threads
                    });
                }
                let times = contest.last_to_each(&mut beside, board.title());
                let processor = processor.map(RefCell::into_inner);
                board.extend(throughput(&name, stringify!($subject), &times, processor));
            }
        }};
    }
    // The same on one to sixteen threads, and rows for how the total throughput falls.
    macro_rules! rows {
        ($alone:ident, $beside:ident, $work:literal, $method:ident) => {
            row!(quick, Kind::$alone, $work, whole $method, 1);
            for (threads, _) in &THREADS[1..] {
                row!(beside, Kind::$beside, $work, whole $method, *threads);
            }
            throughput!(uffd, $work, $method);
            throughput!(protect, $work, $method);
        };
    }
    rows!(Live, LiveBeside, "instantiate, touch 64 KiB, drop", live);
    rows!(Touch, Touch, "instantiate, touch 16 MiB, drop", live_large);
    rows!(Grow, Grow, "grow by a page", grow);
    let work = "instantiate with 192 KiB of data, touch 64 KiB, drop";
    row!(quick, Kind::LiveWithData, work, whole live_with_data, 1);
    let work = "instantiate with 10,000 functions in a table, touch 64 KiB, drop";
    row!(quick, Kind::LiveWithTable, work, whole live_with_table, 1);
    row!(quick, Kind::Empty, "an empty module", whole empty, 1);
    for threads in [1, 2] {
        row!(slow, Kind::Dense, "touch 256 MiB", parts touch, threads);
        row!(slow, Kind::Drop, "drop 256 MiB", parts drop, threads);
        let work = "drop 256 MiB, processor time until it is back";
        row!(slow, Kind::Drop, work, parts give_back, threads);
    }
    slow.final_summary();
    selection.finish();
    println!("{board}");
}

/// How much the total throughput of one of ours falls with many threads. `times` are those of a work with each number of
/// threads, and how many times as long it takes with the most; `processor` is what it takes of processors, in samples.
fn throughput(
    name: &str,
    who: &'static str,
    times: &[(f64, f64)],
    mut processor: [Vec<f64>; THREADS.len()],
) -> Option<Row> {
    let fall = times.iter().map(|time| time.1).reduce(f64::max)?;
    let rates: Vec<_> = times.iter().map(|time| format!("{:.0}", 1e9 / time.0)).collect();
    let median = |samples: &mut Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        format!("{:.0}", samples[samples.len() / 2])
    };
    let used: Vec<_> = processor.iter_mut().map(median).collect();
    let row = Row::new(name, who).no_judgement().no_judgement().judge(Some(fall), PEAK).cell("");
    let text = format!("{} a second, each {} ns of processors", rates.join(", "), used.join(", "));
    Some(row.cell(text))
}
