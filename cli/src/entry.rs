//! Which function of a module `seqfault run` calls.
//!
//! With `--invoke` it is the named function. Otherwise it is the module's entry: the function
//! exported as `""`, or else the one exported as `_start` (the same order as in Wasmtime's
//! program). A function that takes parameters is no entry. If the module exports `_initialize`,
//! that is called first.

use crate::invoke;
use seqfault::message::{self, Escaped};
use seqfault::{AsContextMut, Error, Extern, ExternType, FuncType, Instance, Module, Result};

/// The names of entries; the first one that a module exports is used.
const ENTRIES: [&str; 2] = ["", "_start"];

/// The function that is called before the entry.
const INITIALIZE: &str = "_initialize";

/// The function of a module that is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// The whole program, by the name of its entry.
    Command(&'static str),
    /// One function.
    Function(&'a str),
}

impl<'a> Entry<'a> {
    /// The function `invoke` if it is given, or else the entry of `module`; messages call the
    /// module `file`.
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
    /// the one that it gives to `proc_exit`, or else 0.
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

/// The functions that a module exports, for a message: those with the names most similar to
/// `wanted` come first.
fn functions_of(module: &Module, wanted: &str) -> String {
    let functions = module.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
    let list = message::closest(wanted, functions.map(|export| export.name()));
    match list.is_empty() {
        true => "it exports no function at all".to_owned(),
        false => format!("it exports {list}"),
    }
}
