//! One mutant, from its bytes to the end of its life.

use seqfault::{
    Compilation, Config, Engine, ExternType, Linker, Module, Store, StoreLimits,
    StoreLimitsBuilder, Val,
};
use seqfault_wasm_tests::watch::within;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a mutant of at most some dozen KiB may take to be read, or to be compiled.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a mutant.
pub(crate) enum Verdict {
    Refused,
    Accepted {
        /// Whether something of it was called.
        ran: bool,
    },
}

/// Engines, and a clock that interrupts what runs on them.
pub(crate) struct Lab {
    lazy: Engine,
    eager: Engine,
    stop: Arc<AtomicBool>,
    clock: Option<JoinHandle<()>>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let lazy = Engine::new(&Config::new()).expect("an engine");
        let mut config = Config::new();
        config.compilation(Compilation::Eager).epoch_interruption(true);
        let eager = Engine::new(&config).expect("an engine");
        let stop = Arc::new(AtomicBool::new(false));
        let (ticking, stopped) = (eager.clone(), Arc::clone(&stop));
        let clock = thread::spawn(move || {
            // Relaxed: only the end of the loop depends on it, `join` orders the rest.
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(2));
                ticking.increment_epoch();
            }
        });
        Lab { lazy, eager, stop, clock: Some(clock) }
    }

    /// Gives `bytes` to an engine; if they are to be `run`, and are a module, calls what it exports.
    pub(crate) fn examine(&self, bytes: &[u8], run: bool) -> Verdict {
        let engine = if run { &self.eager } else { &self.lazy };
        let module = within(PATIENCE, "a mutant", || Module::from_binary(engine, bytes));
        match module {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                Verdict::Refused
            }
            Ok(module) => Verdict::Accepted { ran: run && self.run(&module) },
        }
    }

    fn run(&self, module: &Module) -> bool {
        let limits = StoreLimitsBuilder::new().memory_size(64 << 20).table_elements(1 << 20);
        let mut store: Store<StoreLimits> = Store::new(&self.eager, limits.build());
        store.limiter(|limits| limits);
        store.set_epoch_deadline(3);
        let mut linker = Linker::new(&self.eager);
        // Only functions can be; what imports a memory is not run.
        if linker.define_unknown_imports_as_traps(module).is_err() {
            return false;
        }
        let Ok(instance) = linker.instantiate(&mut store, module) else { return false };
        let mut ran = false;
        for export in module.exports() {
            let ExternType::Func(ty) = export.ty() else { continue };
            let func = instance.get_func(&mut store, export.name()).expect("it is exported");
            let arguments: Vec<Val> = ty.params().iter().filter_map(Val::default_for_ty).collect();
            let mut results = vec![Val::I32(0); ty.results().len()];
            store.set_epoch_deadline(3);
            // It may return, trap or be interrupted: that it ends is what counts.
            let _ = func.call(&mut store, &arguments, &mut results);
            ran = true;
        }
        ran
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Relaxed: see the clock.
        self.stop.store(true, Ordering::Relaxed);
        if let Some(clock) = self.clock.take() {
            let _ = clock.join();
        }
    }
}
