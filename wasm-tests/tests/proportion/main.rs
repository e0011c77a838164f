//! What a function costs to compile is in proportion to what it is.
//!
//! The shapes multiply what a guest chooses freely: values times calls, locals times blocks, handlers times
//! calls. Each is compiled, or refused, in a time and in a memory that are in proportion to the bytes of
//! its body and to the values that it passes; what is refused may cost for its bytes alone.
//!
//! Every kind of shape is tried in a small size. In the larger ones, a run of the tests tries some kinds, drawn by a seed that is
//! printed. `SEQFAULT_PROPORTION_SEED` draws the same again, and `SEQFAULT_PROPORTION=all` has all kinds tried in all sizes.
//!
//! `ONLY=loops N=20 M=4000 cargo test -p seqfault-wasm-tests --test proportion -- --nocapture` tries the
//! kinds of that name in one size, and tells what they cost. `MODE=none` does so without signals, `MODE=scarce` in scarce
//! address space.

mod attacks;
mod checks;
mod guest;
mod measure;
mod shapes;

use guest::{Kind, MOST, Shape};
use measure::{Cost, measure};
use seqfault::{AddressSpace, Compilation, Config, Engine, Module};
use seqfault_wasm_tests::seed::Seed;
use shapes::KINDS;
use std::sync::Mutex;
use std::time::Duration;

/// What a unit may cost: a byte, or a value that is passed. `jit/src/translate/plan.rs` promises 10 us in
/// a release build on a quiet machine. (In the dev profile, Cranelift's assertions look for the definition of each
/// operand along the chain of dominators: for tens of thousands of blocks, that alone takes longer.)
const UNIT_TIME: Duration = Duration::from_micros(30);

/// Bytes of memory for a unit.
const UNIT_MEMORY: u64 = 4096;

/// What any module may cost.
const BASE_TIME: Duration = Duration::from_millis(200);
const BASE_MEMORY: u64 = 16 << 20;

/// How many values, and how many places. Few of much, much of little, and much of both.
const SIZES: &[(u32, u32)] = &[(100, 100), (20, 4000), (900, 300), (6000, 1500)];

/// Held by the test that runs: what is measured is the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// The same for what is short.
const SHORT: &[(u32, u32)] = &[(20, 4000), (20, 12_000), (3000, 6000)];

/// The same for what was out of proportion only in functions of some size.
const LARGE: &[(u32, u32)] = &[(20, 4000), (6000, 20_000)];

#[test]
fn cost_is_in_proportion() {
    hold(Config::new(), 1, KINDS, SIZES);
}

#[test]
fn attacks_cost_in_proportion() {
    hold(Config::new(), 1, attacks::KINDS, LARGE);
}

#[test]
fn checks_cost_in_proportion_with_signals() {
    hold(Config::new(), 1, checks::KINDS, SHORT);
}

#[test]
fn checks_cost_in_proportion_without_signals() {
    let mut config = Config::new();
    config.signals_based_traps(false);
    hold(config, 2, checks::KINDS, SHORT);
}

#[test]
fn checks_of_memory_cost_in_proportion_in_scarce_address_space() {
    let mut config = Config::new();
    config.address_space(AddressSpace::Scarce);
    hold(config, 2, &checks::KINDS[..checks::OF_MEMORY], &SHORT[1..2]);
}

/// Compiles all kinds in all sizes; a unit may cost so many times as much as usual.
fn hold(mut config: Config, times: u32, kinds: &[Kind], sizes: &[(u32, u32)]) {
    let _alone = ALONE.lock();
    match std::env::var("MODE").as_deref() {
        Ok("none") => config.signals_based_traps(false),
        Ok("scarce") => config.address_space(AddressSpace::Scarce),
        Ok(other) => panic!("MODE={other} is not known"),
        Err(_) => &mut config,
    };
    // Compiled at once, so that nothing is put off.
    config.compilation(Compilation::Eager).cranelift_verifier(false);
    let engine = Engine::new(&config).expect("an engine");
    // What is made once is nobody's cost.
    Module::new(&engine, "(module (func))").expect("a module");
    let draw = Draw::from_environment();
    let mut failures = Vec::new();
    for &(name, shape) in kinds {
        for (values, places) in sizes_of(name, &draw.sizes(name, sizes)) {
            let shape = shape(values, places);
            if let Err(failure) = check(&engine, times, &shape) {
                failures.push(failure);
            }
        }
    }
    assert!(failures.is_empty(), "out of proportion:\n{}", failures.join("\n"));
}

/// Which kinds are tried in their larger sizes.
enum Draw {
    All,
    Some(Seed),
}

impl Draw {
    /// One size in this many is drawn.
    const AMONG: u64 = 4;

    fn from_environment() -> Draw {
        match std::env::var("SEQFAULT_PROPORTION").as_deref() {
            Ok("all") => Draw::All,
            Ok(other) => panic!("SEQFAULT_PROPORTION={other}: only `all` is known"),
            Err(_) => {
                let seed = Seed::from_environment("SEQFAULT_PROPORTION_SEED");
                println!("larger sizes are drawn by SEQFAULT_PROPORTION_SEED={}", seed.0);
                Draw::Some(seed)
            }
        }
    }

    fn sizes(&self, name: &str, sizes: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let wanted = |&(at, size): &(usize, &(u32, u32))| match self {
            Draw::All => true,
            Draw::Some(seed) => at == 0 || seed.draws((name, size), Self::AMONG),
        };
        sizes.iter().enumerate().filter(wanted).map(|(_, &size)| size).collect()
    }
}

#[test]
fn what_passes_too_many_values_is_refused_when_the_module_is_made() {
    let _alone = ALONE.lock();
    let engine = Engine::default();
    for (name, values, places) in [("values through calls", 1000, 2000), ("catches", 3000, 3000)] {
        let (_, shape) = KINDS.iter().find(|kind| kind.0.starts_with(name)).expect("a kind");
        let error = Module::from_binary(&engine, &shape(values, places).module).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("pass") && message.contains("the most is 2097152"), "{message}");
    }
}

/// The sizes in which a kind of shape is tried.
fn sizes_of(name: &str, sizes: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let sizes = match (std::env::var("ONLY"), number("N"), number("M")) {
        (Ok(only), ..) if !name.contains(&only) => return Vec::new(),
        (_, Some(values), Some(places)) => vec![(values, places)],
        _ => sizes.to_vec(),
    };
    // An expression has as many operands each time, a table as many entries.
    let heavy = name.contains("expression") || name.contains("entries") || name.contains("into");
    let fit = |(values, places): (u32, u32)| match name.contains("values") {
        true => (values.min(MOST), places),
        false if heavy => (values, places.min(100_000 / values)),
        false => (values, places),
    };
    sizes.into_iter().map(fit).collect()
}

/// Compiles a shape: what is out of proportion.
fn check(engine: &Engine, times: u32, shape: &Shape) -> Result<(), String> {
    let mut outcome = Ok(());
    let Cost { time, peak } = measure(|| {
        outcome = Module::from_binary(engine, &shape.module).map(drop);
    });
    let passed = if outcome.is_ok() { shape.passed } else { 0 };
    let units = shape.bytes + passed;
    let told = format!(
        "{:48} {:8} bytes {:8} passed: {:9.3?} {:6.2} us a unit, {:7.1} MB {:6.0} bytes a unit{}",
        shape.name,
        shape.bytes,
        passed,
        time,
        time.as_secs_f64() * 1e6 / units as f64,
        peak as f64 / 1e6,
        peak as f64 / units as f64,
        outcome.as_ref().err().map(|error| format!(": {error}")).unwrap_or_default(),
    );
    println!("{told}");
    let in_time = time <= BASE_TIME + times * UNIT_TIME * units as u32;
    let in_memory = peak as u64 <= BASE_MEMORY + u64::from(times) * UNIT_MEMORY * units;
    let refused = outcome.is_err_and(|error| !error.to_string().contains("cannot compile"));
    if in_time && in_memory && !refused { Ok(()) } else { Err(told) }
}
