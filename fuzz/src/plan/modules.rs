//! The modules of a plan: one written by hand that everybody may import from, one generated, and
//! sometimes another that imports from both.

use super::{Module, NanBits, exports, features, imports, rewrite};
use arbitrary::Unstructured;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use seqfault::Feature;

/// Loops and calls that a run may take before it traps, until the script fills the fuel up.
const FUEL_AT_START: u32 = 1_000;

/// Offers one of everything that the first edition has, whichever features are on.
const PROVIDER: &str = r#"
    (module
      (memory (export "memory") 1 3)
      (table (export "table") 10 20 funcref)
      (global (export "constant") i32 (i32.const 11))
      (global $count (export "count") (mut i64) (i64.const 7))
      (elem (i32.const 2) $bump $peek $divide)
      (data (i32.const 100) "provided")
      (func $bump (export "bump") (param i64) (result i64)
        (global.set $count (i64.add (global.get $count) (local.get 0)))
        (global.get $count))
      (func $peek (export "peek") (param i32) (result i32)
        (i32.load offset=4 (local.get 0)))
      (func $divide (export "divide") (param i32 i32) (result i32)
        (i32.div_s (local.get 0) (local.get 1))))
"#;

/// Why a seed makes no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Barren {
    /// The generator gave up, which it may.
    Generator,
    /// The generator cannot bound how long the module runs.
    Endless,
    /// What the generator made could not be rewritten, or is not valid.
    Invalid,
}

/// The modules of a plan.
///
/// # Errors
///
/// When one of them cannot be made.
pub(super) fn generate(
    rng: &mut StdRng,
    on: &[Feature],
    nans: NanBits,
) -> Result<Vec<Module>, Barren> {
    let provider = wat::parse_str(PROVIDER).expect("it is valid");
    let mut modules = vec![module("provider", provider)?];
    let count = if rng.random_bool(0.7) { 2 } else { 1 };
    for name in ["first", "second"].into_iter().take(count) {
        let config = shape(rng, on, nans, &modules);
        modules.push(module(name, smith(rng, config)?)?);
    }
    Ok(modules)
}

fn module(name: &'static str, wasm: Vec<u8>) -> Result<Module, Barren> {
    let exports = exports::of(&wasm).ok_or(Barren::Invalid)?;
    let plain = rewrite::expand_imports(&wasm).ok_or(Barren::Invalid)?;
    let rephrased = rewrite::suit_wasmi(&plain).ok_or(Barren::Invalid)?;
    Ok(Module { name, wasm, plain, rephrased, exports })
}

fn smith(rng: &mut StdRng, config: wasm_smith::Config) -> Result<Vec<u8>, Barren> {
    let mut bytes = vec![0; rng.random_range(200..2_000)];
    rng.fill_bytes(&mut bytes);
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes))
        .map_err(|_| Barren::Generator)?;
    let fuel = module.ensure_termination(FUEL_AT_START).map_err(|_| Barren::Endless)?;
    rewrite::rewrite(&module.to_bytes(), fuel).ok_or(Barren::Invalid)
}

/// How large a module is, and of what it is made.
fn shape(
    rng: &mut StdRng,
    on: &[Feature],
    nans: NanBits,
    earlier: &[Module],
) -> wasm_smith::Config {
    let offer = imports::available(on, earlier);
    let mut config = wasm_smith::Config {
        available_imports: Some(offer.wasm),
        export_everything: true,
        canonicalize_nans: nans == NanBits::InModules,
        // What traps at once hides everything behind it.
        disallow_traps: rng.random_bool(0.3),
        // Growing is to fail on every engine, or on none.
        memory_max_size_required: true,
        table_max_size_required: true,
        max_memory32_bytes: 5 << 16,
        max_memory64_bytes: 5 << 16,
        max_table_elements: 100,
        max_tables: if on.contains(&Feature::ReferenceTypes) { 4 } else { 1 },
        min_funcs: 1,
        // The generator counts imports among them, and gives up if they leave no room for its own.
        max_funcs: offer.funcs + rng.random_range(1..8),
        max_instructions: rng.random_range(20..120),
        max_imports: rng.random_range(0..8),
        max_types: 12,
        max_globals: 6,
        max_data_segments: 4,
        max_element_segments: 4,
        max_elements: 12,
        max_tags: 4,
        // Exports count, too.
        max_type_size: 2_000,
        allow_start_export: rng.random_bool(0.2),
        allow_floats: rng.random_bool(0.9),
        limit_arrays_in_const_exprs: true,
        acquire_release_atomics_enabled: false,
        ..wasm_smith::Config::default()
    };
    features::tell(&mut config, on);
    config
}
