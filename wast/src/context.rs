//! The state of a script: a store, the instances that it has made, and their names.

use crate::mismatch::{Mismatch, Verdict};
use crate::refusal::Refusal;
use crate::report::Report;
use crate::spectest;
use crate::thread::{ScriptThread, SharedExports};
use seqfault::{Engine, Error, Instance, Linker, Module, Result, Store};
use std::collections::HashMap;
use wast::QuoteWat;
use wast::Wat;
use wast::token::Id;

/// The state of a script: a store, the instances that it has made, and their names.
///
/// Instances stay in the store until the context is dropped, even if their names get another
/// meaning: tables and other instances may refer to them.
pub struct WastContext {
    pub(crate) store: Store<()>,
    linker: Linker<()>,
    /// The instance that a directive without a name means: the last one, unless it has failed.
    current: Option<Instance>,
    instances: HashMap<String, Instance>,
    definitions: HashMap<String, Module>,
    last_definition: Option<Module>,
    /// The memories that the thread's starter shares with it.
    pub(crate) shared: HashMap<String, SharedExports>,
    /// Threads that were started and not waited for.
    pub(crate) threads: HashMap<String, ScriptThread>,
    /// The reports of threads that were waited for, until the log takes them.
    pub(crate) finished: Report,
}

impl WastContext {
    /// A context with the host module `spectest`, and nothing else.
    ///
    /// # Errors
    ///
    /// When the engine cannot make the memory or the table of `spectest`.
    pub fn new(engine: &Engine) -> Result<WastContext> {
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        // A script may register another instance under the same name again.
        linker.allow_shadowing(true);
        spectest::define(&mut linker, &mut store)?;
        Ok(WastContext {
            store,
            linker,
            current: None,
            instances: HashMap::new(),
            definitions: HashMap::new(),
            last_definition: None,
            shared: HashMap::new(),
            threads: HashMap::new(),
            finished: Report::default(),
        })
    }

    /// Compiles a module of the script.
    pub(crate) fn compile(&self, source: &mut QuoteWat<'_>) -> Result<Module, Refusal> {
        if matches!(source, QuoteWat::QuoteComponent(..) | QuoteWat::Wat(Wat::Component(_))) {
            return Err(Refusal::Other(Error::msg("components are not provided by this engine")));
        }
        let binary = source.encode().map_err(|error| Refusal::Text(error.message()))?;
        Module::from_binary(self.linker.engine(), &binary).map_err(Refusal::from_engine)
    }

    /// Instantiates a module against everything that is registered, without giving it a name.
    pub(crate) fn instantiate(&mut self, module: &Module) -> Result<Instance> {
        self.linker.instantiate(&mut self.store, module)
    }

    /// Makes `instance` the current one, and gives it its name; `None` if it could not be made.
    pub(crate) fn set_current(&mut self, name: Option<Id<'_>>, instance: Option<Instance>) {
        self.current = instance;
        if let Some(name) = name {
            match instance {
                Some(instance) => self.instances.insert(name.name().to_owned(), instance),
                None => self.instances.remove(name.name()),
            };
        }
    }

    /// Keeps a module from which the script will make instances later.
    pub(crate) fn define(&mut self, name: Option<Id<'_>>, module: Module) {
        if let Some(name) = name {
            self.definitions.insert(name.name().to_owned(), module.clone());
        }
        self.last_definition = Some(module);
    }

    /// The module with this name, or the last one.
    pub(crate) fn definition(&self, name: Option<Id<'_>>) -> Verdict<Module> {
        let found = match name {
            Some(name) => self.definitions.get(name.name()),
            None => self.last_definition.as_ref(),
        };
        found.cloned().ok_or_else(|| missing("module definition", name))
    }

    /// The instance with this name, or the current one.
    pub(crate) fn instance(&self, name: Option<Id<'_>>) -> Verdict<Instance> {
        let found = match name {
            Some(name) => self.instances.get(name.name()).copied(),
            None => self.current,
        };
        found.ok_or_else(|| missing("instance", name))
    }

    /// The instance with this name.
    pub(crate) fn named_instance(&self, name: &str) -> Option<Instance> {
        self.instances.get(name).copied()
    }

    /// Makes the exports of an instance importable under the module name `as_name`.
    pub(crate) fn register(&mut self, as_name: &str, name: Option<Id<'_>>) -> Verdict {
        let registered = match self.shared_with_this_thread(name) {
            Some(exports) => self.register_shared(as_name, exports),
            None => {
                let instance = self.instance(name)?;
                self.linker.instance(&mut self.store, as_name, instance).map(drop)
            }
        };
        registered.map_err(|error| Mismatch::new(format!("cannot register it: {error}")))
    }

    /// The meaning of a name that the thread was given, unless the thread has used the name for
    /// something else.
    fn shared_with_this_thread(&self, name: Option<Id<'_>>) -> Option<SharedExports> {
        let name = name?.name();
        match self.instances.contains_key(name) {
            true => None,
            false => self.shared.get(name).cloned(),
        }
    }

    fn register_shared(&mut self, as_name: &str, exports: SharedExports) -> Result<()> {
        for (name, memory) in exports {
            self.linker.define(&self.store, as_name, &name, memory)?;
        }
        Ok(())
    }
}

fn missing(what: &str, name: Option<Id<'_>>) -> Mismatch {
    Mismatch::new(match name {
        Some(name) => format!("there is no {what} ${}: it failed, or was never made", name.name()),
        None => format!("there is no current {what}: the last module failed, or none was made"),
    })
}
