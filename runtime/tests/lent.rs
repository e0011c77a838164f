//! A store that a host function lends to another thread, while its wasm is on the lender's stack.

use seqfault::{
    AsContextMut, Caller, Config, Engine, Error, Instance, Linker, Module, Result, Store,
    StoreContextMut, ThrownException, TrapCode,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Each function holds an object in its frame while it lends its store, and returns what is in it.
const LENDER: &str = r#"(module
    (type $box (struct (field i64)))
    (type $get (func (result i64)))
    (type $holder (struct (field i64) (field (ref $get))))
    (tag $e (export "e") (param i64))
    (import "host" "lend" (func $lend (param i32)))
    (memory 1)
    (func $seven (type $get) (i64.const 7))
    (elem declare func $seven)

    (func $hold (export "hold") (param $value i64) (param $job i32) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $value)))
      (call $lend (local.get $job))
      (call $churn)
      (struct.get $box 0 (local.get $box)))

    ;; On the operand stack, below another frame that holds something.
    (func (export "hold_deep") (param $value i64) (param $job i32) (result i64)
      (struct.new $holder (local.get $value) (ref.func $seven))
      (call $hold (i64.add (local.get $value) (i64.const 1)) (local.get $job))
      (local.set $value)
      (call $through (local.get $value)))
    (func $through (param (ref $holder) i64) (result i64)
      (i64.add (struct.get $holder 0 (local.get 0))
        (i64.add (i64.mul (local.get 1) (i64.const 1000))
          (call_ref $get (struct.get $holder 1 (local.get 0))))))

    (func (export "catching") (param $value i64) (param $job i32) (result i64)
      (local $box (ref $box))
      (local.set $box (struct.new $box (local.get $value)))
      (block $caught (result i64)
        (try_table (catch $e $caught) (call $lend (local.get $job)))
        (i64.const 0))
      (i64.add (struct.get $box 0 (local.get $box))))

    ;; As many objects as fill what a collection has left free, all of them wrong.
    (func $churn (export "churn")
      (local $n i32)
      (loop $more
        (drop (struct.new $box (i64.const -1)))
        (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
          (i32.const 5000)))))
    (func (export "trap") (param $at i32) (result i32) (i32.load (local.get $at)))
    (func (export "throw") (param $value i64) (throw $e (local.get $value)))
    (func $forever (export "overflow") (call $forever)))"#;

/// What the other thread does with the store.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(i32)]
enum Job {
    Collect,
    Allocate,
    Trap,
    Throw,
    CatchThere,
    Overflow,
    Panic,
    /// Lends it on, from wasm of its own, to a thread that collects.
    LendOn,
    /// The same, and that one traps.
    LendOnAndTrap,
}

const JOBS: [Job; 9] = [
    Job::Collect,
    Job::Allocate,
    Job::Trap,
    Job::Throw,
    Job::CatchThere,
    Job::Overflow,
    Job::Panic,
    Job::LendOn,
    Job::LendOnAndTrap,
];

type Data = Option<Instance>;

/// Does a job on this thread, which has been lent the store.
fn work(mut store: StoreContextMut<'_, Data>, job: Job) -> Result<()> {
    let instance = store.data().expect("set before it is entered");
    let churn = instance.get_typed_func::<(), ()>(&mut store, "churn")?;
    let hold = instance.get_typed_func::<(i64, i32), i64>(&mut store, "hold")?;
    match job {
        Job::Collect => {
            store.gc()?;
            churn.call(&mut store, ())?;
            store.gc()?;
        }
        Job::Allocate => (0..40).try_for_each(|_| churn.call(&mut store, ()))?,
        Job::Trap => {
            let trap = instance.get_typed_func::<i32, i32>(&mut store, "trap")?;
            trap.call(&mut store, i32::MAX)?;
        }
        Job::Throw => {
            instance.get_typed_func::<i64, ()>(&mut store, "throw")?.call(&mut store, 500)?;
        }
        Job::CatchThere => {
            let catching = instance.get_typed_func::<(i64, i32), i64>(&mut store, "catching")?;
            let caught = catching.call(&mut store, (20, Job::Throw as i32))?;
            assert_eq!(caught, 520);
        }
        Job::Overflow => {
            instance.get_typed_func::<(), ()>(&mut store, "overflow")?.call(&mut store, ())?;
        }
        Job::Panic => panic!("on the other thread"),
        Job::LendOn => assert_eq!(hold.call(&mut store, (77, Job::Collect as i32))?, 77),
        Job::LendOnAndTrap => drop(hold.call(&mut store, (77, Job::Trap as i32))?),
    }
    Ok(())
}

fn lender(config: &Config) -> Result<(Store<Data>, Instance)> {
    let engine = Engine::new(config)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "lend", |mut caller: Caller<'_, Data>, job: i32| {
        let store = caller.as_context_mut();
        let job = JOBS[job as usize];
        let done = thread::scope(|scope| scope.spawn(move || work(store, job)).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let module = Module::new(&engine, LENDER)?;
    let mut store = Store::new(&engine, None);
    let instance = linker.instantiate(&mut store, &module)?;
    *store.data_mut() = Some(instance);
    Ok((store, instance))
}

fn configs() -> [Config; 2] {
    let stress = Config::new().gc_stress(true).clone();
    [Config::new(), stress]
}

/// The names of the functions in an error's frames, innermost first.
fn frames(error: &Error) -> Vec<String> {
    let frames = error.trap().map(|trap| trap.frames()).or_else(|| error.backtrace());
    let name = |frame: &seqfault::FrameInfo| frame.func_name().unwrap_or("?").to_owned();
    frames.expect("it has passed wasm").iter().map(name).collect()
}

#[test]
fn objects_in_the_lenders_frames_survive_collections_elsewhere() -> Result<()> {
    for config in configs() {
        let (mut store, instance) = lender(&config)?;
        for job in [Job::Collect, Job::Allocate, Job::LendOn, Job::CatchThere] {
            let hold = instance.get_typed_func::<(i64, i32), i64>(&mut store, "hold")?;
            assert_eq!(hold.call(&mut store, (42, job as i32))?, 42, "{job:?}");
            let deep = instance.get_typed_func::<(i64, i32), i64>(&mut store, "hold_deep")?;
            assert_eq!(deep.call(&mut store, (42, job as i32))?, 43_049, "{job:?}");
        }
        assert!(store.gc_collections() > 0);
    }
    Ok(())
}

#[test]
fn a_failure_on_the_other_thread_comes_back_with_the_frames_of_both() -> Result<()> {
    for config in configs() {
        let (mut store, instance) = lender(&config)?;
        let hold = instance.get_typed_func::<(i64, i32), i64>(&mut store, "hold")?;
        for _ in 0..3 {
            let trap = hold.call(&mut store, (1, Job::Trap as i32)).unwrap_err();
            assert_eq!(trap.trap().unwrap().code(), TrapCode::MemoryOutOfBounds);
            assert_eq!(frames(&trap), ["trap", "hold"]);
            let trap = hold.call(&mut store, (1, Job::LendOnAndTrap as i32)).unwrap_err();
            assert_eq!(frames(&trap), ["trap", "hold", "hold"]);
            let overflow = hold.call(&mut store, (1, Job::Overflow as i32)).unwrap_err();
            assert_eq!(overflow.trap().unwrap().code(), TrapCode::StackOverflow);
            let thrown = hold.call(&mut store, (1, Job::Throw as i32)).unwrap_err();
            assert!(thrown.is::<ThrownException>());
            assert_eq!(frames(&thrown), ["throw", "hold"]);
            // All is as before.
            assert_eq!(hold.call(&mut store, (9, Job::Collect as i32))?, 9);
        }
    }
    Ok(())
}

#[test]
fn an_exception_from_the_other_thread_is_caught_by_the_lender() -> Result<()> {
    for config in configs() {
        let (mut store, instance) = lender(&config)?;
        let catching = instance.get_typed_func::<(i64, i32), i64>(&mut store, "catching")?;
        assert_eq!(catching.call(&mut store, (3, Job::Throw as i32))?, 503);
        assert_eq!(catching.call(&mut store, (3, Job::Collect as i32))?, 3);
    }
    Ok(())
}

#[test]
fn a_panic_on_the_other_thread_leaves_the_store_as_it_was() -> Result<()> {
    let (mut store, instance) = lender(&Config::new())?;
    let deep = instance.get_typed_func::<(i64, i32), i64>(&mut store, "hold_deep")?;
    for _ in 0..2 {
        let call = AssertUnwindSafe(|| deep.call(&mut store, (1, Job::Panic as i32)));
        assert!(catch_unwind(call).is_err());
        assert_eq!(deep.call(&mut store, (42, Job::LendOn as i32))?, 43_049);
    }
    Ok(())
}

/// Two threads that hand work to each other; while one waits, it does what the other hands back.
mod peers {
    use std::cell::OnceCell;
    use std::rc::Rc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    type Work = Box<dyn FnOnce() + Send>;

    enum Message {
        Do(Work),
        Done,
    }

    struct Peer {
        inbox: Receiver<Message>,
        other: Sender<Message>,
    }

    thread_local! {
        static SELF: OnceCell<Rc<Peer>> = const { OnceCell::new() };
    }

    /// Makes the calling thread and a new one peers, until `body` returns.
    pub(super) fn with_other(stack: usize, body: impl FnOnce() + Send) {
        let ((to_a, a), (to_b, b)) = (channel(), channel());
        thread::scope(|scope| {
            let spawn = |peer: Peer, body: Work| {
                let builder = thread::Builder::new().stack_size(stack);
                let run = move || {
                    SELF.with(|this| this.set(Rc::new(peer)).ok().expect("a new thread"));
                    body();
                };
                builder.spawn_scoped(scope, run).expect("a thread")
            };
            let end = to_b.clone();
            // SAFETY: the scope waits for the thread that runs it.
            let body = unsafe { for_ever(Box::new(body)) };
            let run = Box::new(move || {
                body();
                end.send(Message::Done).expect("it waits");
            });
            spawn(Peer { inbox: a, other: to_b }, run);
            spawn(Peer { inbox: b, other: to_a }, Box::new(serve));
        });
    }

    /// Does what the other thread asks for, until that is done.
    fn serve() {
        let peer = SELF.with(|this| Rc::clone(this.get().expect("a peer")));
        while let Message::Do(work) = peer.inbox.recv().expect("the other waits") {
            work();
            peer.other.send(Message::Done).expect("the other waits");
        }
    }

    /// Has the other thread do something, and waits for it.
    pub(super) fn on_the_other(work: impl FnOnce() + Send) {
        let peer = SELF.with(|this| Rc::clone(this.get().expect("a peer")));
        // SAFETY: done before this returns.
        let work = unsafe { for_ever(Box::new(work)) };
        peer.other.send(Message::Do(work)).expect("the other waits");
        serve();
    }

    /// # Safety
    ///
    /// It must have run, or been dropped, when what it borrows ends.
    unsafe fn for_ever<'a>(work: Box<dyn FnOnce() + Send + 'a>) -> Work {
        // SAFETY: the caller's promise; only the lifetime changes.
        unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Work>(work) }
    }
}

#[test]
fn threads_that_hand_a_store_to_and_fro_keep_to_one_limit_on_each_stack() {
    const LIMIT: usize = 256 << 10;
    const DIVER: &str = r#"(module
        (import "host" "hand_over" (func $hand_over))
        (func $dive (export "dive") (param $n i32)
          (if (local.get $n)
            (then (call $dive (i32.sub (local.get $n) (i32.const 1))))
            (else (call $hand_over)))))"#;
    #[derive(Default)]
    struct Seen {
        instance: Option<Instance>,
        entries: usize,
        /// For each thread, the highest and the lowest address of its stack that was in use.
        stacks: std::collections::HashMap<thread::ThreadId, (usize, usize)>,
    }

    fn note(seen: &mut Seen) {
        let marker = 0u8;
        let here = &raw const marker as usize;
        let stack = seen.stacks.entry(thread::current().id()).or_insert((here, here));
        *stack = (stack.0.max(here), stack.1.min(here));
        seen.entries += 1;
    }

    fn dive(mut store: StoreContextMut<'_, Seen>) -> Result<()> {
        note(store.data_mut());
        let instance = store.data().instance.expect("set before it is entered");
        let dive = instance.get_typed_func::<i32, ()>(&mut store, "dive")?;
        dive.call(&mut store, 100)
    }

    peers::with_other(8 << 20, || {
        let engine = Engine::new(Config::new().max_wasm_stack(LIMIT)).unwrap();
        let mut linker = Linker::new(&engine);
        let hand_over = |mut caller: Caller<'_, Seen>| {
            let store = caller.as_context_mut();
            let mut result = Ok(());
            peers::on_the_other(|| result = dive(store));
            result
        };
        linker.func_wrap("host", "hand_over", hand_over).unwrap();
        let module = Module::new(&engine, DIVER).unwrap();
        let mut store = Store::new(&engine, Seen::default());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        store.data_mut().instance = Some(instance);
        let overflow = dive(store.as_context_mut()).unwrap_err();
        assert_eq!(overflow.trap().expect("a trap").code(), TrapCode::StackOverflow);
        let Seen { entries, stacks, .. } = store.data();
        assert!(*entries > 4, "{entries}");
        assert_eq!(stacks.len(), 2);
        for (high, low) in stacks.values() {
            // The host's own frames below the last entry are not wasm's.
            assert!(high - low < LIMIT + (64 << 10), "{} bytes in use", high - low);
        }
    });
}
