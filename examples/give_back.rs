//! A guest that gives memory back: fills 256 MiB, then discards them again with `memory.discard`, 64 MiB at a time.
//!
//!     cargo run --release -p seqfault --example give_back
//!
//! After each step the host prints the memory's size, which never shrinks, what of it is resident by the engine's count, and the
//! resident set of the whole process as the system sees it.

use seqfault::{Config, Engine, Feature, Instance, Module, Result, Store};

const MODULE: &str = r#"
    (module
      (memory (export "memory") 4096)
      (func (export "fill") (param $at i32) (param $length i32)
        (memory.fill (local.get $at) (i32.const 1) (local.get $length)))
      (func (export "give_back") (param $at i32) (param $length i32)
        (memory.discard (local.get $at) (local.get $length))))
"#;

/// Bytes of a step.
const STEP: u32 = 64 << 20;
const STEPS: u32 = 4;

/// What is there after a step, in bytes.
struct Report {
    step: String,
    size: usize,
    resident: usize,
    process: usize,
}

fn main() -> Result<()> {
    println!("{:<22} {:>8} {:>9} {:>8}", "", "size", "resident", "process");
    for Report { step, size, resident, process } in steps()? {
        println!(
            "{step:<22} {:>4} MiB {:>5} MiB {:>4} MiB",
            size >> 20,
            resident >> 20,
            process >> 20
        );
    }
    Ok(())
}

/// Fills the memory and gives it back, and looks after each step.
fn steps() -> Result<Vec<Report>> {
    let engine = Engine::new(Config::new().wasm_feature(Feature::MemoryControl, true))?;
    let module = Module::new(&engine, MODULE)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let memory = instance.get_memory(&mut store, "memory").expect("the module exports it");
    let fill = instance.get_typed_func::<(u32, u32), ()>(&mut store, "fill")?;
    let give_back = instance.get_typed_func::<(u32, u32), ()>(&mut store, "give_back")?;

    let report = |step: String, store: &Store<()>| Report {
        step,
        size: memory.data_size(store),
        resident: memory.resident(store),
        process: resident_set(),
    };
    let mut reports = vec![report("at the start".to_owned(), &store)];
    for step in 0..STEPS {
        fill.call(&mut store, (step * STEP, STEP))?;
        reports.push(report(format!("filled {} MiB", ((step + 1) * STEP) >> 20), &store));
    }
    for step in 0..STEPS {
        give_back.call(&mut store, (step * STEP, STEP))?;
        reports.push(report(format!("gave {} MiB back", ((step + 1) * STEP) >> 20), &store));
    }
    Ok(reports)
}

/// Bytes of the process that are in memory: the second field of `/proc/self/statm`, see proc_pid_statm(5).
fn resident_set() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[test]
fn what_is_given_back_returns_to_the_system() {
    let reports = steps().unwrap();
    let (step, full) = (STEP as usize, 256 << 20);
    let slack = 4 << 20;
    let start = reports[0].process;
    assert_eq!(reports.len(), 9);
    for (at, report) in reports.iter().enumerate() {
        assert_eq!(report.size, full);
        let expected = if at <= 4 { at * step } else { full - (at - 4) * step };
        assert_eq!(report.resident, expected, "{}", report.step);
        let grown = report.process.abs_diff(start);
        assert!(grown.abs_diff(expected) <= slack, "{}: {grown} bytes more", report.step);
    }
}
