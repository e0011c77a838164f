//! [`Engine`]: what modules and stores share.

mod once;
mod parallel;
mod scarcity;
mod types;

pub(crate) use once::CompileOnce;
pub(crate) use parallel::try_map;
pub(crate) use scarcity::refused;
pub use scarcity::{AddressSpace, Scarcity};
pub(crate) use types::{RegisteredType, TypeId, TypeRegistry};

use crate::config::{Config, ResidentBudget};
use crate::entities::RegionPool;
use crate::error::Result;
use crate::interrupt::Waiters;
use crate::vm;
use seqfault_jit::code::{CodeArena, CodeQuota};
use seqfault_jit::process::Lock;
use seqfault_jit::{CompileError, CompileScratch, Compiler};
use seqfault_mm::Budget;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The compiler, the canonical types, and the clock that interrupts stores.
///
/// Cheap to clone; all clones are the same engine. Modules and stores of different engines cannot
/// be combined.
#[derive(Clone, Debug)]
pub struct Engine(Arc<EngineInner>);

#[derive(Debug)]
pub(crate) struct EngineInner {
    config: Config,
    compiler: Compiler,
    types: TypeRegistry,
    epoch: AtomicU64,
    /// Whether compilations are interrupted.
    gives_up: AtomicBool,
    waiters: Waiters,
    regions: Arc<RegionPool>,
    budget: Option<Budget>,
    scratch: Lock<Vec<CompileScratch>>,
    code_quota: Arc<CodeQuota>,
    /// The memory for code that belongs to no module.
    stubs: CodeArena,
}

/// Stack for one compilation. Cranelift was seen to use up to 192 KiB in release builds.
const COMPILE_STACK: usize = 2 << 20;

/// How many scratch memories an engine keeps: about as many as threads compile at once.
const SCRATCH_POOL: usize = 16;

impl Default for Engine {
    /// # Panics
    ///
    /// Where [`Engine::new`] would return an error.
    fn default() -> Engine {
        Engine::new(&Config::new()).expect("the default configuration works on this machine")
    }
}

impl Engine {
    /// An engine for `config`. The first one installs the process's signal handlers, unless
    /// [`Config::signals_based_traps`] is off.
    ///
    /// # Errors
    ///
    /// On a machine that Cranelift has no code generator for; when the system refuses the signal
    /// handlers; when another library has installed its own handlers over them, and the
    /// configuration makes this an error; or when choices of `config` contradict each other.
    pub fn new(config: &Config) -> Result<Engine> {
        let config = config.resolve()?;
        if config.tunables.signals_based_traps {
            vm::install_signal_handlers()?;
        }
        vm::check_signals(&config)?;
        let code_quota = CodeQuota::new("Config::code_limit", config.code_limit, None);
        let budget = match config.resident_budget {
            ResidentBudget::Unlimited => None,
            ResidentBudget::Auto => Budget::of_container(),
            ResidentBudget::Bytes(bytes) => Some(Budget::new(bytes)),
        };
        Ok(Engine(Arc::new(EngineInner {
            budget,
            compiler: Compiler::new(config.tunables.clone())?,
            regions: Arc::new(RegionPool::new(config.reuse.clone())),
            config,
            types: TypeRegistry::default(),
            epoch: AtomicU64::new(0),
            gives_up: AtomicBool::new(false),
            waiters: Waiters::default(),
            scratch: Lock::default(),
            stubs: CodeArena::of_pages(code_quota.clone()),
            code_quota,
        })))
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Why its memories save address space, if they do: for hosts that tell their users. See
    /// [`Config::address_space`].
    pub fn scarcity(&self) -> Option<Scarcity> {
        self.0.config.scarcity
    }

    /// Advances the engine's epoch: stores whose deadline is reached are interrupted, even while
    /// their guests are blocked in a wait. May be called from any thread, but not from a signal
    /// handler, since it takes a lock.
    pub fn increment_epoch(&self) {
        // SeqCst: see `interrupt`.
        let before = self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.waiters.wake_due(before.wrapping_add(1));
    }

    /// Makes compilations fail with [`CompileError::Interrupted`]: running ones between two
    /// functions, later ones at once. For hosts that give up. May be called from any thread.
    pub fn interrupt_compilations(&self) {
        // Relaxed: the flag orders nothing else.
        self.0.gives_up.store(true, Ordering::Relaxed);
    }

    /// An error if compilations have been interrupted.
    pub(crate) fn check_compilation(&self) -> Result<(), CompileError> {
        // Relaxed: as above.
        match self.0.gives_up.load(Ordering::Relaxed) {
            true => Err(CompileError::Interrupted),
            false => Ok(()),
        }
    }

    /// Makes sure that faults of the calling thread reach the runtime: its signal handlers are in
    /// place, or are put back as [`Config::displaced_handlers`] says, and the thread does not block
    /// their signals. For hosts that install handlers or change masks while instances exist;
    /// instantiation does the same. A few system calls.
    ///
    /// # Errors
    ///
    /// When another library's handler is in the place of the runtime's and stays there.
    pub fn check_signals(&self) -> Result<()> {
        vm::check_signals(self.config())
    }

    /// How many memories and heaps wait to be used again, and how many bytes they keep in memory.
    pub fn idle_memories(&self) -> (usize, usize) {
        self.0.regions.size()
    }

    /// Gives back all memory that waits to be used again; see [`Config::reuse`]. For hosts that know that they will be
    /// idle.
    pub fn release_idle_memories(&self) {
        self.0.regions.clear();
    }

    /// What is charged to the budget of its memories and heaps, and what may be charged now, in bytes; `None` if it has no
    /// [budget](Config::resident_budget). At least what is resident is charged: memory that is left to the kernel as a
    /// whole, unless little is left.
    pub fn resident_budget(&self) -> Option<(usize, usize)> {
        let budget = self.0.budget.as_ref()?;
        Some((budget.charged().ok()?, budget.limit().ok()?))
    }

    /// Whether both are the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    /// What its memories and heaps share.
    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.0.budget.as_ref()
    }

    pub(crate) fn regions(&self) -> &Arc<RegionPool> {
        &self.0.regions
    }

    pub(crate) fn current_epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn epoch(&self) -> &AtomicU64 {
        &self.0.epoch
    }

    /// The stores that [`increment_epoch`](Self::increment_epoch) has to wake.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.0.compiler
    }

    /// The quota in which all code of the engine counts.
    pub(crate) fn code_quota(&self) -> &Arc<CodeQuota> {
        &self.0.code_quota
    }

    /// The memory for code that belongs to no module: the trampolines for each type of function,
    /// and lazy entries, which hold an address of this process.
    pub(crate) fn stubs(&self) -> &CodeArena {
        &self.0.stubs
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.0.types
    }

    /// Runs `compile` with scratch memory that earlier compilations have left, and with enough
    /// stack, even if wasm has used up nearly all of the thread's.
    pub(crate) fn with_scratch<R>(&self, compile: impl FnOnce(&mut CompileScratch) -> R) -> R {
        let mut scratch = self.0.scratch.lock().pop().unwrap_or_default();
        let compile = || compile(&mut scratch);
        let result = match is_own_stack() {
            true => stacker::maybe_grow(COMPILE_STACK / 2, COMPILE_STACK, compile),
            false => stacker::grow(COMPILE_STACK, compile),
        };
        // Not reached after a panic: then what is left of the scratch is dropped.
        let mut pool = self.0.scratch.lock();
        if scratch.is_worth_keeping() && pool.len() < SCRATCH_POOL {
            pool.push(scratch);
        }
        result
    }
}

/// Whether this runs on the stack that the thread started on. The size of any other stack is not
/// known.
fn is_own_stack() -> bool {
    let marker = 0u8;
    seqfault_mm::stack_bounds().contains(&(std::ptr::from_ref(&marker) as usize))
}

#[cfg(test)]
mod tests {
    use super::{COMPILE_STACK, Engine};

    /// Uses up `bytes` of stack.
    fn use_stack(bytes: usize) -> u8 {
        let page = std::hint::black_box([1u8; 4096]);
        match bytes.checked_sub(page.len()) {
            Some(rest) => use_stack(rest).wrapping_add(page[rest % 4096]),
            None => 0,
        }
    }

    #[test]
    fn a_compilation_has_its_stack_on_a_thread_that_has_little() {
        let engine = Engine::default();
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        let compile = move || engine.with_scratch(|_| use_stack(COMPILE_STACK / 4));
        thread.spawn(compile).unwrap().join().unwrap();
    }

    /// A coroutine's stack that is above that of its thread looks as if plenty of it were left.
    #[test]
    fn a_compilation_has_its_stack_on_a_stack_of_another_kind() {
        use corosensei::stack::DefaultStack;
        use corosensei::{Coroutine, Yielder};
        let engine = Engine::default();
        let stacks: Vec<_> = (0..2).map(|_| DefaultStack::new(128 << 10).unwrap()).collect();
        let [below, above] = [0, 1].map(|_| engine.clone());
        let on = |engine: Engine, stack: DefaultStack| {
            let compile = move |_: &Yielder<(), ()>, ()| {
                engine.with_scratch(|_| use_stack(COMPILE_STACK / 4));
            };
            Coroutine::<(), (), (), _>::with_stack(stack, compile).resume(());
        };
        let mut stacks = stacks.into_iter();
        // The system maps from high addresses to low ones, so this stack is made before the
        // thread's.
        let early = stacks.next().unwrap();
        std::thread::spawn(move || on(above, early)).join().unwrap();
        on(below, stacks.next().unwrap());
    }
}
