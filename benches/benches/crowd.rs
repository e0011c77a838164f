//! Many instances alive at the same time: what each takes of the machine's memory and of the kernel's mappings,
//! whether the last ones take longer to make than the first, and whether all comes back.
//!
//! Each contender has a process of its own, started by this one: what one leaves behind is not counted for the
//! next, and each has the address space for itself.

use seqfault_benches::{
    CROWD_BARS, Census, CrowdBars, Plan, Row, Scoreboard, Selection, engines, in_each_setting,
};
use std::process::Command;

/// The variable that tells a process which contender it is, in which crowd.
const ROLE: &str = "SEQFAULT_BENCH_CROWD";

/// Instances of one kind.
struct Crowd {
    name: &'static str,
    /// The memory of the module.
    memory: &'static str,
    plan: Plan,
    /// Whether each instance has a module and an engine of its own.
    engines: bool,
    /// Ours, and the two peers.
    contenders: [&'static str; 4],
}

const POOLS: [&str; 4] = ["uffd", "protect", "pool", "tuned"];
const ALL_ALIVE: Plan = Plan { count: 1500, look: 1500, alive: 1500 };

const CROWDS: [Crowd; 4] = [
    Crowd {
        name: "10,000 instances",
        memory: "(memory 1)",
        plan: Plan { count: 15_000, look: 10_000, alive: 15_000 },
        engines: false,
        contenders: POOLS,
    },
    Crowd {
        name: "1,500 64-bit memories",
        memory: "(memory i64 1)",
        plan: ALL_ALIVE,
        engines: false,
        contenders: POOLS,
    },
    Crowd {
        name: "1,500 shared memories",
        memory: "(memory 1 65536 shared)",
        plan: ALL_ALIVE,
        engines: false,
        // Wasmtime's pool has none of these.
        contenders: ["uffd", "protect", "on-demand", "on-demand"],
    },
    Crowd {
        name: "1,500 engines, 50 at a time",
        memory: "(memory 1)",
        plan: Plan { alive: 50, ..ALL_ALIVE },
        engines: true,
        contenders: POOLS,
    },
];

fn module(memory: &str) -> String {
    let (index, zero) =
        if memory.contains("i64") { ("i64", "(i64.const 0)") } else { ("i32", "(i32.const 0)") };
    format!(
        r#"(module {memory}
          ;; Stores a byte in each 4 KiB of the first 64 KiB.
          (func (export "touch") (local $at {index})
            (local.set $at {zero})
            (loop $again
              (i32.store8 (local.get $at) (i32.const 1))
              (br_if $again ({index}.lt_u
                (local.tee $at ({index}.add (local.get $at) ({index}.const 4096)))
                ({index}.const 65536))))))"#
    )
}

/// The work of a process that is a contender: the engines' API is the same word for word.
macro_rules! engine_under_test {
    ($name:ident, $engine:ident) => {
        fn $name(config: &$engine::Config, crowd: &Crowd, plan: Plan) -> Census {
            use $engine::{Engine, InstancePre, Linker, Module, Result, Store};
            let prepare = || -> Result<(Engine, InstancePre<()>)> {
                let engine = Engine::new(config)?;
                let module = Module::new(&engine, module(crowd.memory))?;
                let pre = Linker::new(&engine).instantiate_pre(&module)?;
                Ok((engine, pre))
            };
            let live = |engine: &Engine, pre: &InstancePre<()>| -> Result<Store<()>> {
                let mut store = Store::new(engine, ());
                let instance = pre.instantiate(&mut store)?;
                let touch = instance.get_typed_func::<(), ()>(&mut store, "touch")?;
                touch.call(&mut store, ())?;
                Ok(store)
            };
            if crowd.engines {
                return Census::of(plan, || {
                    let (engine, pre) = prepare()?;
                    Ok::<_, $engine::Error>((live(&engine, &pre)?, pre, engine))
                });
            }
            let (engine, pre) = prepare().expect("a valid module");
            Census::of(plan, || live(&engine, &pre))
        }
    };
}

engine_under_test!(ours, seqfault);
engine_under_test!(theirs, wasmtime);

fn census(crowd: &Crowd, contender: &str, plan: Plan) -> Census {
    use seqfault::PagerKind;
    // One more is made at the beginning, and room for it is not counted on.
    let room = plan.alive as u32 + 10;
    match contender {
        "uffd" => ours(&engines::ours(PagerKind::Uffd), crowd, plan),
        "protect" => ours(&engines::ours(PagerKind::Protect), crowd, plan),
        "pool" if crowd.engines => theirs(&engines::pooling(16), crowd, plan),
        "tuned" if crowd.engines => theirs(&engines::tuned(16), crowd, plan),
        "pool" => theirs(&engines::pooling(room), crowd, plan),
        "tuned" => theirs(&engines::tuned(room), crowd, plan),
        _ => {
            let mut config = wasmtime::Config::new();
            config.wasm_threads(true).shared_memory(true);
            theirs(&config, crowd, plan)
        }
    }
}

fn main() {
    if in_each_setting() {
        return;
    }
    let mut selection = Selection::new(300);
    let plan = |crowd: &Crowd| match selection.test {
        true => Plan { count: 150, look: 100, alive: crowd.plan.alive.min(150) },
        false => crowd.plan,
    };
    if let Ok(role) = std::env::var(ROLE) {
        let (crowd, contender) = role.split_once('/').expect("a crowd and a contender");
        let crowd = CROWDS.iter().find(|known| known.name == crowd).expect("a known crowd");
        println!("{}", census(crowd, contender, plan(crowd)));
        return;
    }
    let judged = ["to pool (bar)", "to tuned (bar)", "itself (bar)"];
    let mut board = Scoreboard::new(
        "crowd",
        judged.map(String::from).into(),
        vec!["ours, pool, tuned".to_owned()],
    );
    let plans = CROWDS.each_ref().map(plan);
    for (crowd, plan) in CROWDS.iter().zip(plans) {
        if selection.begin(crowd.name) {
            let [uffd, protect, pool, tuned] = crowd.contenders.map(|who| in_process(crowd, who));
            board.extend(rows(crowd, plan, "uffd", &[uffd, pool.clone(), tuned.clone()]));
            board.extend(rows(crowd, plan, "protect", &[protect, pool, tuned]));
        }
    }
    selection.finish();
    println!("{board}");
}

/// Has a process of its own be `contender` in `crowd`.
fn in_process(crowd: &Crowd, contender: &str) -> Census {
    let program = std::env::current_exe().expect("a program");
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(ROLE, format!("{}/{contender}", crowd.name));
    let output = command.output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().lines().next_back().unwrap_or_default().parse().unwrap_or_else(|error| {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("{contender} in {}: {error}, {}, {errors}", crowd.name, output.status)
    })
}

fn rows(crowd: &Crowd, plan: Plan, who: &'static str, all: &[Census; 3]) -> Vec<Row> {
    /// Bytes that each has touched.
    const TOUCHED: f64 = 65_536.0;
    let CrowdBars { memory, beyond, maps, last, after } = CROWD_BARS;
    let [ours, pool, tuned] = all;
    let row = |what: &str| Row::new(format!("{}: {what}", crowd.name), who);
    let own = |what: &str| row(what).no_judgement().no_judgement();
    let cell = |figure: &dyn Fn(&Census) -> String| all.each_ref().map(figure).join(", ");
    let beside = |what: &str, bar: f64, figure: &dyn Fn(&Census) -> f64| {
        row(what)
            .judge(Some(figure(ours) / figure(pool)), bar)
            .judge(Some(figure(ours) / figure(tuned)), bar)
            .no_judgement()
            .cell(cell(&|census| format!("{:.1} KiB", figure(census) / 1024.0)))
    };
    let mut rows = Vec::new();
    if ours.made < plan.count as f64 {
        let made = Some(plan.count as f64 / ours.made);
        let cell = cell(&|census| census.made.to_string());
        rows.push(own("wanted, to made").judge(made, 1.0).cell(format!("{cell}: {}", ours.error)));
    }
    if !crowd.engines {
        rows.push(beside("memory of each", memory, &|census| census.bytes));
        rows.push(beside("memory of each but the touched pages", beyond, &|census| {
            census.bytes - TOUCHED
        }));
        let cell = cell(&|census| format!("{:.1}", census.maps));
        rows.push(own("kernel's mappings of each").judge(Some(ours.maps), maps).cell(cell));
    }
    let micros =
        |census: &Census| format!("{:.1} µs to {:.1} µs", census.last / 1e3, census.first / 1e3);
    let slower = Some(ours.last / ours.first);
    rows.push(own("time to make the last, to the first").judge(slower, last).cell(cell(&micros)));
    let mib = |census: &Census| {
        format!("{:.1} MiB to {:.1} MiB", census.after / 1048576.0, census.before / 1048576.0)
    };
    let left = Some(ours.after / ours.before);
    rows.push(own("resident after all are gone, to before").judge(left, after).cell(cell(&mib)));
    rows
}
