//! Guests of several stores that take turns, each on a stack of its own: whatever one does between two
//! turns of the others, it is its own frames that count.

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use seqfault::{
    AsContextMut, Caller, Config, Engine, Error, Func, Instance, Linker, Module, Result, Store,
    ThrownException, TrapCode,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Each act holds an object that has `seed` in it while others take their turns, and then returns it,
/// unless it ends otherwise.
const ACTS: &str = r#"(module
    (type $box (struct (field i64)))
    (tag $e (param i64))
    (import "host" "turn" (func $turn))
    (import "host" "collect" (func $collect))
    (import "host" "fail" (func $fail))
    (import "host" "panic" (func $panic))
    (import "host" "act" (func $act (param i32 i64) (result i64)))
    (memory 1)

    (func (export "plain") (param $seed i64) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $seed)))
      (call $turn)
      (struct.get $box 0 (local.get $box)))

    (func (export "unreachable") (param $seed i64) (result i64)
      (call $turn) (unreachable))
    (func (export "out_of_bounds") (param $seed i64) (result i64)
      (call $turn) (i64.load (i32.const -16)))
    (func (export "division") (param $seed i64) (result i64)
      (call $turn) (i64.div_u (local.get $seed) (i64.const 0)))
    (func (export "null") (param $seed i64) (result i64)
      (call $turn) (struct.get $box 0 (ref.null $box)))

    (func $throw (param $seed i64) (call $turn) (throw $e (local.get $seed)))
    (func (export "caught") (param $seed i64) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $seed)))
      (block $caught (result i64)
        (try_table (catch $e $caught) (call $throw (i64.const 0)))
        (unreachable))
      (call $turn)
      (i64.add (struct.get $box 0 (local.get $box))))
    (func (export "uncaught") (param $seed i64) (result i64)
      (call $throw (local.get $seed)) (local.get $seed))

    (func (export "collecting") (param $seed i64) (result i64)
      (local $box (ref $box)) (local $n i32)
      (local.set $box (struct.new $box (local.get $seed)))
      (call $collect)
      (call $turn)
      (loop $more
        (drop (struct.new $box (i64.const -1)))
        (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
          (i32.const 4000))))
      (call $collect)
      (call $turn)
      (struct.get $box 0 (local.get $box)))

    ;; More results than registers, from a function that is compiled while others are inside.
    (func $many (param $seed i64)
        (result i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
      (call $turn)
      (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
      (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (local.get $seed))
    (func (export "many") (param $seed i64) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $seed)))
      (call $turn)
      (call $many (struct.get $box 0 (local.get $box)))
      (local.set $seed)
      (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop) (drop)
      (local.get $seed))

    (func $dive (param i64) (result i64)
      (i64.add (i64.const 1) (call $dive (local.get 0))))
    (func (export "overflow") (param $seed i64) (result i64)
      (call $turn) (call $dive (local.get $seed)))

    (func (export "failing") (param $seed i64) (result i64)
      (call $turn) (call $fail) (local.get $seed))
    (func (export "panicking") (param $seed i64) (result i64)
      (call $turn) (call $panic) (local.get $seed))

    ;; The host enters again: another act, picked by the seed.
    (func (export "again") (param $seed i64) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $seed)))
      (drop (call $act (i32.wrap_i64 (local.get $seed)) (i64.const 5)))
      (call $turn)
      (struct.get $box 0 (local.get $box))))"#;

/// How an act ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns,
    Traps(TrapCode),
    Throws,
    Fails,
    Panics,
}

const ALL: [(&str, End); 14] = [
    ("plain", End::Returns),
    ("unreachable", End::Traps(TrapCode::Unreachable)),
    ("out_of_bounds", End::Traps(TrapCode::MemoryOutOfBounds)),
    ("division", End::Traps(TrapCode::IntegerDivisionByZero)),
    ("null", End::Traps(TrapCode::NullStruct)),
    ("caught", End::Returns),
    ("uncaught", End::Throws),
    ("collecting", End::Returns),
    ("many", End::Returns),
    ("overflow", End::Traps(TrapCode::StackOverflow)),
    ("failing", End::Fails),
    ("panicking", End::Panics),
    ("again", End::Returns),
    ("plain", End::Returns),
];

/// What a store knows: how to give the others their turn, and its own instance.
struct Guest {
    yielder: *const Yielder<(), ()>,
    instance: Option<Instance>,
}

fn engine() -> Engine {
    // Less than the stacks have.
    Engine::new(Config::new().max_wasm_stack(128 << 10)).unwrap()
}

fn linker(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "turn", |caller: Caller<'_, Guest>| {
        // SAFETY: of the coroutine that this runs on.
        unsafe { &*caller.data().yielder }.suspend(());
    })?;
    linker.func_wrap("host", "collect", |mut caller: Caller<'_, Guest>| {
        caller.as_context_mut().gc()
    })?;
    linker.func_wrap("host", "fail", || Err::<(), Error>(Error::msg("as asked")))?;
    linker.func_wrap("host", "panic", || -> () { panic!("as asked") })?;
    linker.func_wrap("host", "act", |mut caller: Caller<'_, Guest>, which: i32, seed: i64| {
        let instance = caller.data().instance.expect("set");
        let act = which as usize % ALL.len();
        // A panic goes on through this host function, so that one is left out.
        match ALL[act].1 {
            End::Panics => {}
            _ => play(&mut caller, instance, act, seed),
        }
        seed
    })?;
    Ok(linker)
}

/// Has a guest do an act, and checks how it ends.
fn play(mut store: impl AsContextMut<Data = Guest>, instance: Instance, act: usize, seed: i64) {
    let (name, end) = ALL[act];
    let func: Func = instance.get_func(&mut store, name).unwrap();
    let func = func.typed::<i64, i64>(&store).unwrap();
    let depth = store.as_context().data().yielder;
    let result = catch_unwind(AssertUnwindSafe(|| func.call(&mut store, seed)));
    assert_eq!(depth, store.as_context().data().yielder);
    let result = match result {
        Ok(result) => result,
        Err(panic) if panic.downcast_ref() == Some(&"as asked") => {
            return assert_eq!(end, End::Panics, "{name}");
        }
        // The guest is given up, or an assertion further in has failed.
        Err(panic) => resume_unwind(panic),
    };
    let error = match (result, end) {
        (Ok(value), End::Returns) => return assert_eq!(value, seed, "{name}"),
        (Ok(value), _) => panic!("{name} returned {value}"),
        (Err(error), _) => error,
    };
    let found = match error.trap() {
        Some(trap) => End::Traps(trap.code()),
        None if error.is::<ThrownException>() => End::Throws,
        None => End::Fails,
    };
    assert_eq!(found, end, "{name}: {error:?}");
    let frames = error.trap().map(|trap| trap.frames()).or_else(|| error.backtrace());
    let frames = frames.expect("the frames of wasm");
    // Only its own: the functions of this module, of which each act has one or two; overflows many.
    assert!(!frames.is_empty(), "{name}");
    let outer = frames.iter().filter(|frame| frame.module_name() == Some("acts")).count();
    assert_eq!(outer, frames.len(), "{name}");
}

type Turns = Coroutine<(), (), (), DefaultStack>;

/// A guest with a store of its own, on a stack of its own, that plays `acts` one after the other.
fn guest(engine: &Engine, module: &Module, acts: Vec<(usize, i64)>) -> Turns {
    let (engine, module) = (engine.clone(), module.clone());
    let stack = DefaultStack::new(1 << 20).unwrap();
    Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
        let mut store = Store::new(&engine, Guest { yielder, instance: None });
        let linker = linker(&engine).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        store.data_mut().instance = Some(instance);
        yielder.suspend(());
        for (act, seed) in acts {
            play(&mut store, instance, act, seed);
        }
    })
}

fn module(engine: &Engine) -> Module {
    // The name tells one's own frames.
    Module::new(engine, ACTS.replacen("(module", "(module $acts", 1)).unwrap()
}

fn is_done(turns: &mut Turns) -> bool {
    turns.done() || matches!(turns.resume(()), CoroutineResult::Return(()))
}

#[test]
fn whatever_one_does_while_another_is_inside_is_its_own_affair() {
    let engine = engine();
    for first in 0..ALL.len() {
        for second in 0..ALL.len() {
            // A new module: everything is compiled by who gets there first.
            let module = module(&engine);
            let mut guests = [first, second].map(|act| guest(&engine, &module, vec![(act, 3)]));
            // Strictly by turns.
            while !guests.iter_mut().map(is_done).fold(true, |all, done| all & done) {}
        }
    }
}

#[test]
fn many_guests_take_turns_in_any_order() {
    let engine = engine();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..10 {
        let module = module(&engine);
        let mut guests: Vec<Turns> = (0..8)
            .map(|_| {
                let acts = (0..12).map(|_| (draw(ALL.len()), draw(1000) as i64)).collect();
                guest(&engine, &module, acts)
            })
            .collect();
        while !guests.is_empty() {
            let next = draw(guests.len());
            if is_done(&mut guests[next]) {
                guests.swap_remove(next);
            }
        }
    }
}

/// A coroutine that is given up in the middle of a host function is unwound by a panic of its own,
/// through wasm and the activations there.
#[test]
fn a_guest_that_is_given_up_takes_nothing_of_the_others_along() {
    let engine = engine();
    let module = module(&engine);
    for act in 0..ALL.len() {
        let mut stays = guest(&engine, &module, vec![(7, 11), (2, 12), (12, 13)]);
        let mut goes = guest(&engine, &module, vec![(act, 3), (act, 3)]);
        for _ in 0..2 {
            assert!(!is_done(&mut stays) && !is_done(&mut goes));
        }
        drop(goes);
        while !is_done(&mut stays) {}
    }
}

/// Threads of pools often block all signals.
fn block_signals() {
    // SAFETY: a set that is filled before it is used; the thread's own mask.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        assert_eq!(libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_guest_goes_on_on_a_thread_that_it_was_not_entered_on() {
    struct Moved<'a>(&'a mut Turns);
    // SAFETY: nothing on its stack is its thread's: the yielder is the coroutine's own.
    unsafe impl Send for Moved<'_> {}

    let engine = engine();
    let module = module(&engine);
    for act in 0..ALL.len() {
        let mut turns = guest(&engine, &module, vec![(act, 3), (2, 5), (7, 6)]);
        let mut done = false;
        while !done {
            let moved = Moved(&mut turns);
            std::thread::scope(|scope| {
                let done = &mut done;
                scope.spawn(move || {
                    let moved = moved;
                    block_signals();
                    *done = is_done(moved.0);
                });
            });
        }
    }
}
