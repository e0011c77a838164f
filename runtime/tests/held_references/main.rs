//! References on the operand stack across collections.
//!
//! The collector finds a reference that compiled code holds only where the translator has declared it. So
//! for every operator that yields one there is a case (`cases`): its result is held on the operand
//! stack, and nowhere else, while a collection moves the objects and the memory that they left is
//! used again. Then it must lead to the same object, with the same content.
//!
//! Which operators there are, the parser says: a new one without a case, or a reason for none, fails.

mod cases;
mod operators;

use cases::{CASES, Case, Held};
use seqfault::{
    AsContextMut, Caller, Config, Engine, ExternRef, Feature, Global, GlobalType, HeapType,
    Instance, Linker, Module, Mutability, OptLevel, Result, Rooted, Store, Val, ValType,
};

/// Ways to collect while what is on the operand stack stays there.
const HOLDS: &[(&str, &str)] = &[
    ("call", "call $churn"),
    ("host", "call $host_churn"),
    (
        "allocation",
        "(local.set $n (i32.const ROUNDS)) (loop $churn (drop (struct.new $box (i64.const -1)))
        (br_if $churn (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))",
    ),
    ("try_table", "(block $hold (try_table (catch_all $hold) call $churn))"),
    ("exception", "(block $hold (try_table (catch_all $hold) call $churn_and_throw))"),
    ("legacy", "try call $churn_and_throw catch_all end"),
];

/// An engine to try the cases on.
struct Mode {
    name: String,
    config: Config,
    /// Allocations that fill the heap at least three times over, or collect three times.
    rounds: u32,
}

fn modes() -> Vec<Mode> {
    let mut modes = Vec::new();
    let levels = [(OptLevel::Speed, false), (OptLevel::None, false), (OptLevel::None, true)];
    for (level, plain) in levels {
        let mut config = Config::new();
        config.wasm_feature(Feature::LegacyExceptions, true).cranelift_opt_level(level);
        config.compile_plainly(plain);
        let mut stressed = config.clone();
        stressed.gc_stress(true);
        modes.push(Mode {
            name: format!("{level:?}, plain: {plain}, a collection at every allocation"),
            config: stressed,
            rounds: 3,
        });
        // Half of the heap has room for 4096 objects.
        config.gc_heap_limit(Some(64 << 10));
        modes.push(Mode {
            name: format!("{level:?}, plain: {plain}, a small heap"),
            config,
            rounds: 3 * 4096,
        });
    }
    modes
}

#[test]
fn every_reference_on_the_operand_stack_survives_collections() -> Result<()> {
    let mut failures = Vec::new();
    for mode in modes() {
        let engine = Engine::new(&mode.config)?;
        let module = Module::new(&engine, text(mode.rounds))?;
        for case in CASES {
            for &(hold, _) in HOLDS {
                // A store each: a reference that went astray spoils no other case.
                let outcome = run(&engine, &module, &format!("{}, {hold}", case.name));
                if let Err(message) = outcome {
                    failures.push(format!("{} ({hold}, {}): {message}", case.name, mode.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// Runs one case.
fn run(engine: &Engine, module: &Module, export: &str) -> Result<(), String> {
    let mut store = Store::new(engine, ());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let instance = instantiate(&mut store, module)?;
        let before = store.gc_collections();
        let run = instance.get_typed_func::<(), i32>(&mut store, export)?;
        let right = run.call(&mut store, ())?;
        Ok((right, store.gc_collections() - before))
    }));
    match outcome {
        Ok(Ok((1, collections))) if collections >= 2 => Ok(()),
        Ok(Ok((1, collections))) => Err(format!("only {collections} collections")),
        Ok(Ok(_)) => Err("another object, or another content".to_owned()),
        Ok(Err(error)) => {
            let error: seqfault::Error = error;
            Err(error.to_string())
        }
        Err(_) => Err("a panic".to_owned()),
    }
}

const HOST_VALUE: u64 = 0xca11_ab1e;

fn instantiate(store: &mut Store<()>, module: &Module) -> Result<Instance> {
    let mut linker: Linker<()> = Linker::new(store.engine());
    let is_host = |caller: Caller<'_, ()>, value: Option<Rooted<ExternRef>>| -> Result<i32> {
        let Some(data) = value.map(|value| value.data(&caller)).transpose()? else { return Ok(0) };
        Ok(i32::from(data.and_then(|data| data.downcast_ref::<u64>()) == Some(&HOST_VALUE)))
    };
    linker.func_wrap("host", "is_host", is_host)?;
    linker.func_wrap("host", "make", |mut caller: Caller<'_, ()>| {
        ExternRef::new(&mut caller, HOST_VALUE).map(Some)
    })?;
    linker.func_wrap("host", "churn", |mut caller: Caller<'_, ()>| -> Result<()> {
        caller.as_context_mut().gc()?;
        let churn = caller.get_export("churn").and_then(|export| export.into_func());
        churn.expect("the module exports it").call(&mut caller, &[], &mut [])
    })?;
    linker.func_wrap("host", "same", |value: Option<Rooted<seqfault::AnyRef>>| value)?;
    linker.func_wrap(
        "host",
        "pair",
        |any: Option<Rooted<seqfault::AnyRef>>, host: Option<Rooted<ExternRef>>| (any, host),
    )?;
    linker.func_wrap("host", "nothing", || {})?;
    let ty = GlobalType::new(ValType::ANYREF, Mutability::Var);
    let global = Global::new(&mut *store, ty, Val::null_ref(&HeapType::Any))?;
    linker.define(&mut *store, "host", "global", global)?;
    linker.instantiate(store, module)
}

/// The module: what all cases share, and a function for each case and each way to collect.
fn text(rounds: u32) -> String {
    let cases: String = CASES
        .iter()
        .flat_map(|case| HOLDS.iter().map(|&(hold, collects)| function(case, hold, collects)))
        .collect();
    format!("(module {} {cases})", include_str!("module.wat"))
        .replace("ROUNDS", &rounds.to_string())
}

/// The name of a case's function, as an identifier of the text format.
fn identifier(case: &Case, hold: &str) -> String {
    format!("{}/{hold}", case.name).replace([' ', ','], "_")
}

fn function(case: &Case, hold: &str, collects: &str) -> String {
    let Case { name, helpers, body, held, .. } = *case;
    let id = identifier(case, hold);
    let last = if body.contains("HOLD") { "" } else { "HOLD" };
    let checks: String = held.iter().rev().map(|&held| check(held)).collect();
    let text = format!(
        r#"{helpers}
        (func $@ (export "{name}, {hold}") (result i32) (local $ok i32) (local $n i32)
          (call $set_up)
          (local.set $ok (i32.const 1))
          {body} {last}
          {checks}
          (local.get $ok))
        "#
    );
    text.replace('@', &id).replace("HOLD", collects)
}

/// Takes the newest operand and looks whether it is what it should be.
fn check(held: Held) -> String {
    let check = match held {
        Held::Any(what) => format!("i32.const {what} call $is"),
        Held::Extern(what) => format!("any.convert_extern i32.const {what} call $is"),
        Held::Exn(what) => format!("call $payload i32.const {what} call $is"),
        Held::Func => "call $is_answer".to_owned(),
        Held::Null => "ref.is_null".to_owned(),
    };
    format!("{check} local.get $ok i32.and local.set $ok\n")
}
