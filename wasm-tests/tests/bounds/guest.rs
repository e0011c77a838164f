//! A module that was made from text, and its functions by name.

use seqfault::{Config, Engine, Instance, Memory, Module, PagerKind, Store, TrapCode, Val};

/// A page of WebAssembly, in bytes.
pub(crate) const PAGE: u64 = 65536;

/// The pagers that work everywhere; what the system offers beyond them comes with `None`.
pub(crate) const PAGERS: [Option<PagerKind>; 4] =
    [None, Some(PagerKind::Protect), Some(PagerKind::Eager), WITHOUT_SIGNALS];

/// Not the pager alone: signals are ruled out with it.
const WITHOUT_SIGNALS: Option<PagerKind> = Some(PagerKind::Demand);

/// An instance in a store of its own.
pub(crate) struct Guest {
    pub(crate) store: Store<()>,
    pub(crate) instance: Instance,
}

impl Guest {
    #[track_caller]
    pub(crate) fn new(text: &str) -> Guest {
        Guest::with_config(text, &Config::new())
    }

    #[track_caller]
    pub(crate) fn with_pager(text: &str, pager: Option<PagerKind>) -> Guest {
        let mut config = Config::new();
        if let Some(pager) = pager {
            config.pager(pager);
        }
        if pager == WITHOUT_SIGNALS {
            config.signals_based_traps(false);
        }
        Guest::with_config(text, &config)
    }

    #[track_caller]
    pub(crate) fn with_config(text: &str, config: &Config) -> Guest {
        let engine = Engine::new(config).expect("an engine");
        let module = Module::new(&engine, text).unwrap_or_else(|error| panic!("{error}"));
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
        Guest { store, instance }
    }

    pub(crate) fn memory(&mut self) -> Memory {
        self.instance.get_memory(&mut self.store, "memory").expect("a memory")
    }

    /// Calls the function exported as `name`: its results, or why it trapped.
    #[track_caller]
    pub(crate) fn call(&mut self, name: &str, arguments: &[Val]) -> Result<Vec<Val>, TrapCode> {
        let func = self.instance.get_func(&mut self.store, name).expect(name);
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        match func.call(&mut self.store, arguments, &mut results) {
            Ok(()) => Ok(results),
            Err(error) => match error.trap() {
                Some(trap) => Err(trap.code()),
                None => panic!("{name}: {error}"),
            },
        }
    }

    /// Calls a function with 32-bit arguments and expects a return, or this trap.
    #[track_caller]
    pub(crate) fn expect(&mut self, name: &str, arguments: &[u32], expected: Option<TrapCode>) {
        let values: Vec<Val> = arguments.iter().map(|&value| Val::I32(value as i32)).collect();
        self.expect_values(name, &values, expected);
    }

    /// Calls a function and expects a return, or this trap.
    #[track_caller]
    pub(crate) fn expect_values(
        &mut self,
        name: &str,
        arguments: &[Val],
        expected: Option<TrapCode>,
    ) {
        let found = self.call(name, arguments).err();
        assert_eq!(found, expected, "{name} {arguments:x?}");
    }
}
