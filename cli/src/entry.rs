//! Which function of a module `seqfault run` calls.
//!
//! `--invoke` names it. Without that it is the module's entry: the function exported as `""`, else
//! the one exported as `_start` (the order of Wasmtime's command line). A function that takes
//! parameters is no entry. `_initialize` is called before either, where a module exports it.

use crate::invoke;
use seqfault::message::{self, Escaped};
use seqfault::{AsContextMut, Error, Extern, ExternType, FuncType, Instance, Module, Result};

/// The names of entries, the first that a module exports first.
const ENTRIES: [&str; 2] = ["", "_start"];

/// What is called before anything else.
const INITIALIZE: &str = "_initialize";

/// What of a module is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// The whole program, by the name of its entry.
    Command(&'static str),
    /// One function.
    Function(&'a str),
}

impl<'a> Entry<'a> {
    /// The function `invoke` where that is given, else the entry of `module`, which `file` names in
    /// messages.
    pub(crate) fn of(module: &Module, invoke: Option<&'a str>, file: &str) -> Result<Entry<'a>> {
        if let Some(name) = invoke {
            return match function(module, name) {
                Some(_) => Ok(Entry::Function(name)),
                None => Err(Error::msg(format!(
                    "{file} exports no function `{}`: {}",
                    Escaped::name(name),
                    functions_of(module, name)
                ))),
            };
        }
        let takes_nothing =
            |name: &&str| function(module, name).is_some_and(|ty| ty.params().is_empty());
        if let Some(name) = ENTRIES.into_iter().find(takes_nothing) {
            return Ok(Entry::Command(name));
        }
        Err(Error::msg(
            match ENTRIES.into_iter().find_map(|name| Some((name, function(module, name)?))) {
                Some((name, ty)) => format!(
                    "{file} is no program, its function `{name}` has the type {} and takes \
                     parameters, which an entry does not: choose it with --invoke",
                    Escaped::name(&ty.to_string()),
                ),
                None => format!(
                    "{file} is no program, it exports no function `_start`: {}, choose with --invoke",
                    functions_of(module, "_start")
                ),
            },
        ))
    }

    /// Calls it, after `_initialize`. The results of an entry are dropped: a program's exit code is
    /// what it gives to `proc_exit`, else 0.
    pub(crate) fn call(
        self,
        mut store: impl AsContextMut,
        instance: Instance,
        arguments: &[String],
    ) -> Result<()> {
        if self != Entry::Function(INITIALIZE)
            && let Some(initialize) = instance.get_func(&mut store, INITIALIZE)
        {
            let initialize = initialize.typed::<(), ()>(&store);
            let named = |error: Error| error.context(format!("exported function `{INITIALIZE}`"));
            initialize.map_err(named)?.call(&mut store, ())?;
        }
        let (Entry::Command(name) | Entry::Function(name)) = self;
        let Some(Extern::Func(func)) = instance.get_export(&mut store, name) else {
            return Err(Error::msg(format!("`{}` is gone", Escaped::name(name))));
        };
        match self {
            Entry::Command(_) => invoke::call_entry(store, func),
            Entry::Function(name) => {
                invoke::call(store, name, func, arguments, &mut std::io::stdout().lock())
            }
        }
    }
}

/// The type of the function that `module` exports as `name`.
fn function(module: &Module, name: &str) -> Option<FuncType> {
    match module.get_export(name)? {
        ExternType::Func(ty) => Some(ty),
        _ => None,
    }
}

/// The functions that a module exports, those first that are named most like `wanted`, for a
/// message.
fn functions_of(module: &Module, wanted: &str) -> String {
    let functions = module.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
    let list = message::closest(wanted, functions.map(|export| export.name()));
    match list.is_empty() {
        true => "it exports no function at all".to_owned(),
        false => format!("it exports {list}"),
    }
}
