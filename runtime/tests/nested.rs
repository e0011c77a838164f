//! Guests that call the host that calls guests again: limits hold for all of them together.

use seqfault::{Caller, Config, Engine, Linker, Module, Result, Store, TrapCode};

/// Goes down in the guest, then over the host into the guest again, for ever.
const WAT: &str = r#"(module
    (import "" "again" (func $again))
    (func $deep (export "deep") (param $n i32)
      (if (local.get $n)
        (then (call $deep (i32.sub (local.get $n) (i32.const 1))))
        (else (call $again)))
      ;; Not the last thing: the frame stays.
      (global.set $count (i32.add (global.get $count) (i32.const 1))))
    (global $count (mut i32) (i32.const 0)))"#;

#[test]
fn entries_on_top_of_each_other_share_one_stack_limit() {
    // With so much stack that each of the entries could have as much as is allowed.
    let run = || -> Result<(TrapCode, usize)> {
        const DEPTH: i32 = 1_500;
        let engine = Engine::new(Config::new().max_wasm_stack(256 << 10))?;
        let mut linker: Linker<usize> = Linker::new(&engine);
        linker.func_wrap("", "again", |mut caller: Caller<'_, usize>| -> Result<()> {
            *caller.data_mut() += 1;
            let deep = caller.get_export("deep").and_then(|export| export.into_func());
            deep.expect("an export").call(&mut caller, &[DEPTH.into()], &mut [])
        })?;
        let module = Module::new(&engine, WAT)?;
        let mut store = Store::new(&engine, 0);
        let instance = linker.instantiate(&mut store, &module)?;
        let deep = instance.get_typed_func::<i32, ()>(&mut store, "deep")?;
        let error = deep.call(&mut store, DEPTH).unwrap_err();
        Ok((error.trap().expect("a trap").code(), *store.data()))
    };
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    let (code, entries) = thread.join().unwrap().unwrap();
    assert_eq!(code, TrapCode::StackOverflow);
    // Each takes at least two words a call of what all of them together have.
    let most = (256 << 10) / (1_500 * 16);
    assert!((1..=most).contains(&entries), "{entries} entries");
}

#[test]
fn a_deadline_that_is_set_later_does_not_undo_an_interruption() -> Result<()> {
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let module = Module::new(
        &engine,
        r#"(module (func (export "count") (param $n i32) (result i32)
             (loop $more
               (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
             (local.get $n)))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = seqfault::Instance::new(&mut store, &module, &[])?;
    let count = instance.get_typed_func::<i32, i32>(&mut store, "count")?;
    store.set_epoch_deadline(1_000);
    assert_eq!(count.call(&mut store, 1_000)?, 0);
    store.interrupt_handle().interrupt();
    store.set_epoch_deadline(1_000);
    let error = count.call(&mut store, 1_000).unwrap_err();
    assert_eq!(error.trap().expect("a trap").code(), TrapCode::Interrupt);
    Ok(())
}
