//! The actions of a script: calling an export, reading a global, instantiating a module.

use crate::context::WastContext;
use crate::mismatch::Mismatch;
use crate::value;
use seqfault::{Error, Extern, Val};
use wast::token::Id;
use wast::{QuoteWat, WastExecute, WastInvoke, Wat};

/// Why an action gave no values.
pub(crate) enum Stop {
    /// It could not be done: the script names something that does not exist.
    Script(Mismatch),
    /// The engine began it and stopped, with a trap for example.
    Engine(Error),
}

impl From<Mismatch> for Stop {
    fn from(mismatch: Mismatch) -> Stop {
        Stop::Script(mismatch)
    }
}

impl Stop {
    /// The failure of a directive that expects an outcome called `expected`.
    pub(crate) fn into_mismatch(self, expected: &str) -> Mismatch {
        match self {
            Stop::Script(mismatch) => mismatch,
            Stop::Engine(error) => Mismatch::expected(expected, brief(&error)),
        }
    }
}

/// An error of the engine in one line.
pub(crate) fn brief(error: &Error) -> String {
    if let Some(trap) = error.trap() {
        return format!("the trap `{}`", trap.code());
    }
    let text = error.to_string();
    format!("the error `{}`", text.lines().next().unwrap_or_default())
}

impl WastContext {
    /// Does what `action` says and returns its values.
    pub(crate) fn execute(&mut self, action: WastExecute<'_>) -> Result<Vec<Val>, Stop> {
        match action {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Get { module, global, .. } => self.get(module, global).map(|v| vec![v]),
            WastExecute::Wat(module) => self.start(module).map(|()| Vec::new()),
        }
    }

    /// Calls an exported function.
    pub(crate) fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Vec<Val>, Stop> {
        let name = invoke.name;
        let Extern::Func(func) = self.export(invoke.module, name)? else {
            return Err(Mismatch::new(format!("the export \"{name}\" is no function")).into());
        };
        let mut arguments = Vec::with_capacity(invoke.args.len());
        for argument in &invoke.args {
            arguments.push(value::from_arg(&mut self.store, argument)?);
        }
        let count = func.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); count];
        func.call(&mut self.store, &arguments, &mut results).map_err(Stop::Engine)?;
        Ok(results)
    }

    /// Reads an exported global.
    fn get(&mut self, instance: Option<Id<'_>>, name: &str) -> Result<Val, Stop> {
        match self.export(instance, name)? {
            Extern::Global(global) => Ok(global.get(&mut self.store)),
            _ => Err(Mismatch::new(format!("the export \"{name}\" is no global")).into()),
        }
    }

    /// Instantiates a module for the effects of its start function; the instance gets no name.
    fn start(&mut self, module: Wat<'_>) -> Result<(), Stop> {
        let module = self.compile(&mut QuoteWat::Wat(module));
        let module = module.map_err(|refusal| Mismatch::new(refusal.to_string()))?;
        self.instantiate(&module).map(|_| ()).map_err(Stop::Engine)
    }

    fn export(&mut self, instance: Option<Id<'_>>, name: &str) -> Result<Extern, Stop> {
        let found = self.instance(instance)?.get_export(&mut self.store, name);
        Ok(found.ok_or_else(|| Mismatch::new(format!("nothing is exported as \"{name}\"")))?)
    }
}
