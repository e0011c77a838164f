//! The modules of a plan: one written by hand that everybody may import from, one generated, and
//! sometimes another that imports from both.

use super::{Module, NanBits, exports, features, imports, rephrase, rewrite};
use arbitrary::Unstructured;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use seqfault::Feature;

/// Loops and calls that a run may take before it traps, until the script fills the fuel up.
const FUEL_AT_START: u32 = 1_000;

/// Offers one of everything that the first edition has, whichever features are on.
const PROVIDER: &str = r#"
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
      (i32.div_s (local.get 0) (local.get 1)))
"#;

/// The name of the function that makes objects.
pub(super) const MAKE: &str = "make";

/// Offers objects, some of them inside of others: structs for numbers below 2 and for those whose
/// lowest bits are 0 or 1, arrays for others.
const OBJECTS: &str = r#"
    (rec
      (type $leaf (sub (struct (field i8) (field (mut i64)))))
      (type $node (sub (struct (field (mut anyref)) (field i16) (field (ref null $list)))))
      (type $list (array (mut anyref))))
    (type $bytes (array i8))
    (func $make (export "make") (param $n i32) (result anyref)
      (local $inside anyref)
      (if (i32.lt_u (local.get $n) (i32.const 2))
        (then (return (struct.new $leaf (local.get $n) (i64.const -1)))))
      (local.set $inside (call $make (i32.shr_u (local.get $n) (i32.const 2))))
      (block $bytes
        (block $list
          (block $node
            (block $leaf
              (br_table $leaf $node $list $bytes (i32.and (local.get $n) (i32.const 3))))
            (return (struct.new $leaf (local.get $n) (i64.extend_i32_s (local.get $n)))))
          (return (struct.new $node
            (local.get $inside)
            (local.get $n)
            (array.new $list (local.get $inside) (i32.const 2)))))
        (return (array.new_fixed $list 3
          (local.get $inside) (ref.i31 (local.get $n)) (ref.null any))))
      (array.new $bytes (local.get $n) (i32.and (local.get $n) (i32.const 15))))
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
    let objects = if on.contains(&Feature::Gc) { OBJECTS } else { "" };
    let provider = wat::parse_str(format!("(module {objects} {PROVIDER})")).expect("it is valid");
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
    let rephrased = rephrase::for_wasmi(&plain);
    Ok(Module { name, wasm, plain, rephrased, exports })
}

fn smith(rng: &mut StdRng, config: wasm_smith::Config) -> Result<Vec<u8>, Barren> {
    let mut bytes = vec![0; rng.random_range(500..4_000)];
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
        min_funcs: rng.random_range(1..4),
        // The generator counts imports among these, and types of all offers: there must be room for
        // its own. If there is none for a function, it gives up.
        max_funcs: offer.funcs + rng.random_range(3..8),
        max_globals: offer.globals + 4,
        max_types: offer.types + rng.random_range(2..16),
        max_instructions: rng.random_range(20..200),
        max_imports: rng.random_range(0..8),
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
