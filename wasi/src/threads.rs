//! wasi-threads: the threads of one guest, its *process*.
//!
//! Each is a thread of the host with its own store and instance. They share the imported memory and the
//! [`WasiCtx`](crate::WasiCtx). The process ends when its first thread returns, and when any thread exits or traps. All
//! other threads are then interrupted, whether they are in code, in a wait or in a WASI call, and the process has a
//! single outcome. No thread outlives [`WasiThreads::run`], except for system calls that are still writing to a disk.
//!
//! Source: the wasi-threads proposal, `thread-spawn` and `wasi_thread_start`.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use seqfault::{
    AsContext, Error, ExternType, Instance, InstancePre, InterruptHandle, Linker, Module, Result,
    SharedMemory, Store,
};

use crate::WasiCtx;

/// The name a module imports the function from.
const MODULE: &str = "wasi";
/// The function's name.
const SPAWN: &str = "thread-spawn";
/// The export that a new thread calls, with its id and the argument of its spawn.
const START: &str = "wasi_thread_start";
/// Thread ids are below this, and above 0, which is the id of the first thread.
const MAX_THREAD_ID: u32 = 1 << 29;
/// The result for a thread that cannot be started: any negative number.
const NO_THREAD: i32 = -1;

/// Makes the store of a new thread.
type MakeStore<T> = Box<dyn Fn() -> Result<Store<T>> + Send + Sync>;

/// The threads of one guest. A handle: clones are the same process.
///
/// ```
/// use seqfault::{Config, Engine, Linker, Module, Store};
/// use seqfault_wasi::{WasiCtxBuilder, WasiThreads};
///
/// // Threads that compute can be stopped only where the code looks for it.
/// let engine = Engine::new(Config::new().epoch_interruption(true))?;
/// let module = Module::new(&engine, r#"
///     (module
///       (import "env" "memory" (memory 1 1 shared))
///       (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
///       (func (export "wasi_thread_start") (param $id i32) (param $argument i32)
///         (i32.atomic.store (i32.const 0) (local.get $argument))
///         (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
///       (func (export "_start")
///         (drop (call $spawn (i32.const 42)))
///         (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
/// "#)?;
///
/// let ctx = WasiCtxBuilder::new().build()?;
/// let mut linker = Linker::new(&engine);
/// seqfault_wasi::add_to_linker(&mut linker, |ctx| ctx)?;
/// let threads = WasiThreads::new();
/// let fresh = { let engine = engine.clone(); move || Ok(Store::new(&engine, ctx.clone())) };
/// threads.add_to_linker(&mut linker, &fresh()?, &module)?;
/// threads.run(&linker.instantiate_pre(&module)?, fresh, |ctx| ctx, |store, instance| {
///     instance.get_typed_func::<(), ()>(&mut *store, "_start")?.call(store, ())
/// })?;
/// # Ok::<(), seqfault::Error>(())
/// ```
pub struct WasiThreads<T: 'static> {
    process: Arc<Process<T>>,
}

struct Process<T: 'static> {
    /// Set when the process runs.
    program: OnceLock<Program<T>>,
    state: Mutex<State>,
    /// Told when a thread ends.
    ended: Condvar,
    /// Bytes of stack for the host's and the guest's frames of a thread; `None`: the host's default.
    stack_size: Option<usize>,
    /// The most threads at once, without the first.
    maximum: usize,
}

struct Program<T: 'static> {
    pre: InstancePre<T>,
    make_store: MakeStore<T>,
    waits: crate::InterruptHandle,
}

#[derive(Default)]
struct State {
    last_id: u32,
    /// The living threads, including the first, and a handle to interrupt each that has a store.
    threads: HashMap<u32, Option<InterruptHandle>>,
    /// Whether the process is ending: no more threads are started then.
    ending: bool,
    /// The reason, if it is not the return of the first thread.
    outcome: Option<Outcome>,
}

enum Outcome {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

impl<T: 'static> Clone for WasiThreads<T> {
    fn clone(&self) -> Self {
        Self { process: Arc::clone(&self.process) }
    }
}

impl<T: 'static> std::fmt::Debug for WasiThreads<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasiThreads").finish_non_exhaustive()
    }
}

impl<T: 'static> Default for WasiThreads<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> WasiThreads<T> {
    /// A process that does not run yet, with at most 1,024 threads beside the first.
    pub fn new() -> Self {
        Self::with_limits(1024, None)
    }

    /// A process with at most `maximum` threads beside the first. Each has a stack of `stack_size` bytes (`None`: the
    /// host's default).
    pub fn with_limits(maximum: usize, stack_size: Option<usize>) -> Self {
        let process = Process {
            program: OnceLock::new(),
            state: Mutex::default(),
            ended: Condvar::new(),
            stack_size,
            maximum,
        };
        Self { process: Arc::new(process) }
    }

    /// Whether `module` asks for threads.
    pub fn are_needed(module: &Module) -> bool {
        module.imports().any(|import| import.module() == MODULE && import.name() == SPAWN)
    }
}

impl<T: Send + 'static> WasiThreads<T> {
    /// Adds `wasi.thread-spawn` to a linker, and makes the shared memories that `module` imports. `store` may be any
    /// store of the engine; it is not kept.
    ///
    /// # Errors
    ///
    /// When the linker already has one of the names and does not allow shadowing, or a memory cannot be made.
    pub fn add_to_linker(
        &self,
        linker: &mut Linker<T>,
        store: impl AsContext<Data = T>,
        module: &Module,
    ) -> Result<()> {
        // A weak reference: the program, which holds the linker's functions, belongs to the process.
        let process = Arc::downgrade(&self.process);
        linker.func_wrap(MODULE, SPAWN, move |argument: i32| -> i32 {
            process.upgrade().and_then(|process| process.spawn(argument)).unwrap_or(NO_THREAD)
        })?;
        let engine = linker.engine().clone();
        for import in module.imports() {
            if let ExternType::Memory(ty) = import.ty()
                && ty.shared
            {
                let memory = SharedMemory::new(&engine, *ty)?;
                linker.define(&store, import.module(), import.name(), memory)?;
            }
        }
        Ok(())
    }

    /// Runs the process: instantiates `pre` in a store of `make_store`, and calls `main` with both. `get` finds the
    /// WASI state, which the stores of all threads share.
    ///
    /// Returns when the last thread has ended: with the result of `main`, or with the error of the thread that ended
    /// the process before that.
    ///
    /// # Errors
    ///
    /// The error of `main` or of any other thread; also when the store cannot be made, or this was called before.
    pub fn run<R>(
        &self,
        pre: &InstancePre<T>,
        make_store: impl Fn() -> Result<Store<T>> + Send + Sync + 'static,
        get: impl FnOnce(&mut T) -> &mut WasiCtx,
        main: impl FnOnce(&mut Store<T>, Instance) -> Result<R>,
    ) -> Result<R> {
        let mut store = make_store()?;
        let waits = get(store.data_mut()).interrupt_handle()?;
        let program = Program { pre: pre.clone(), make_store: Box::new(make_store), waits };
        if self.process.program.set(program).is_err() {
            return Err(Error::msg("a WasiThreads runs once: make another one"));
        }
        self.process.enter(0, &mut store);
        // The guard also ends the other threads when `main` panics.
        let ended = EndOnDrop(&self.process);
        let result = pre.instantiate(&mut store).and_then(|instance| main(&mut store, instance));
        drop(ended);
        match self.process.state().outcome.take() {
            Some(Outcome::Error(error)) => Err(error),
            Some(Outcome::Panic(panic)) => resume_unwind(panic),
            None => result,
        }
    }
}

/// Ends the process when the first thread leaves it, and waits for the others.
struct EndOnDrop<'a, T: 'static>(&'a Process<T>);

impl<T: 'static> Drop for EndOnDrop<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.threads.remove(&0);
        self.0.end(&mut state);
        while !state.threads.is_empty() {
            state = self.0.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: 'static> Process<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        // A thread's panic ends the process; it does not leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that thread `id` has a store now. If the process is already ending, the thread is interrupted at once.
    fn enter(&self, id: u32, store: &mut Store<T>) {
        let handle = store.interrupt_handle();
        let mut state = self.state();
        if state.ending {
            handle.interrupt();
        }
        state.threads.insert(id, Some(handle));
    }

    /// Interrupts all threads.
    fn end(&self, state: &mut State) {
        if std::mem::replace(&mut state.ending, true) {
            return;
        }
        if let Some(program) = self.program.get() {
            program.waits.interrupt();
        }
        state.threads.values().flatten().for_each(InterruptHandle::interrupt);
    }

    /// Ends the process with `outcome`, unless it is already ending: the first outcome counts.
    fn end_with(&self, outcome: Outcome) {
        let mut state = self.state();
        if !state.ending {
            state.outcome = Some(outcome);
            self.end(&mut state);
        }
    }

    /// Takes the next free id.
    fn take_id(&self) -> Option<u32> {
        let mut state = self.state();
        if state.ending || state.threads.len() > self.maximum {
            return None;
        }
        let mut id = state.last_id;
        loop {
            id = if id + 1 < MAX_THREAD_ID { id + 1 } else { 1 };
            if !state.threads.contains_key(&id) {
                break;
            }
        }
        state.last_id = id;
        state.threads.insert(id, None);
        Some(id)
    }

    fn leave(&self, id: u32) {
        self.state().threads.remove(&id);
        self.ended.notify_all();
    }
}

impl<T: Send + 'static> Process<T> {
    /// Starts a thread. Returns its id, or `None` if it cannot be started.
    fn spawn(self: Arc<Self>, argument: i32) -> Option<i32> {
        let id = self.take_id()?;
        let builder = thread::Builder::new().name(format!("wasi-thread-{id}"));
        let builder = match self.stack_size {
            Some(bytes) => builder.stack_size(bytes),
            None => builder,
        };
        let process = Arc::clone(&self);
        let spawned = builder.spawn(move || {
            match catch_unwind(AssertUnwindSafe(|| process.live(id, argument))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => process.end_with(Outcome::Error(error)),
                Err(panic) => process.end_with(Outcome::Panic(panic)),
            }
            process.leave(id);
        });
        if spawned.is_err() {
            self.leave(id);
            return None;
        }
        i32::try_from(id).ok()
    }

    /// Runs a thread from start to end. Its store is dropped when this returns.
    fn live(&self, id: u32, argument: i32) -> Result<()> {
        let program = self.program.get().ok_or_else(|| Error::msg("the process does not run"))?;
        let mut store = (program.make_store)()?;
        self.enter(id, &mut store);
        let instance = program.pre.instantiate(&mut store)?;
        let start = instance.get_typed_func::<(u32, i32), ()>(&mut store, START)?;
        start.call(&mut store, (id, argument))
    }
}
