//! wasmi, an interpreter, with everything on that it has.

use super::Contestant;
use crate::host::{self, Answer, Failure, Nesting};
use crate::observe::{Ending, TrapKind, Value};
use crate::plan::{Argument, Module, Place, suit_wasmi};
use std::sync::Arc;
use wasmi::errors::{ErrorKind, InstantiationError};
use wasmi::{
    AsContext, Caller, Config, Engine, Error, Extern, ExternRef, F32, F64, Func, FuncType, Linker,
    Nullable, Ref, Store, TrapCode, V128, Val, ValType,
};

/// A store of wasmi.
pub struct Wasmi {
    store: Store<()>,
    linker: Linker<()>,
    instances: Vec<Option<Vec<Extern>>>,
}

impl std::fmt::Debug for Wasmi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wasmi")
    }
}

impl Default for Wasmi {
    fn default() -> Wasmi {
        Wasmi::new()
    }
}

impl Wasmi {
    /// A store.
    pub fn new() -> Wasmi {
        let mut config = Config::default();
        config.wasm_custom_page_sizes(true).wasm_wide_arithmetic(true);
        let engine = Engine::new(&config);
        let linker = define_host(&engine);
        Wasmi { store: Store::new(&engine, ()), linker, instances: Vec::new() }
    }

    fn at(&self, at: Place) -> Extern {
        let instance =
            self.instances[at.instance].as_ref().expect("only those alive are asked for");
        instance[at.export]
    }

    fn func(&self, at: Place) -> Func {
        self.at(at).into_func().expect("the plan knows what it is")
    }

    fn val(&mut self, argument: Argument, ty: ValType) -> Val {
        match argument {
            Argument::I32(value) => Val::I32(value),
            Argument::I64(value) => Val::I64(value),
            Argument::F32(bits) => Val::F32(F32::from_bits(bits)),
            Argument::F64(bits) => Val::F64(F64::from_bits(bits)),
            Argument::V128(bits) => Val::V128(V128::from(bits)),
            Argument::Func(at) => Val::FuncRef(Nullable::Val(self.func(at))),
            Argument::Extern(number) => {
                Val::ExternRef(Nullable::Val(ExternRef::new(&mut self.store, number)))
            }
            Argument::I31(_) | Argument::Object(..) => unreachable!("wasmi has no such values"),
            Argument::Null => Val::default_for_ty(ty),
        }
    }

    fn value(&self, val: &Val) -> Value {
        value(&self.store, val)
    }

    fn try_instantiate(&mut self, module: &Module) -> Result<Vec<Extern>, Error> {
        let rephrased = module.rephrased.as_deref().expect("plans that suit wasmi have it");
        let compiled = wasmi::Module::new(self.store.engine(), rephrased)?;
        let instance = self.linker.instantiate_and_start(&mut self.store, &compiled)?;
        // A second instance of a module offers nothing to others.
        let _ = self.linker.instance(&mut self.store, module.name, instance);
        // By name: wasmi keeps exports in an order of its own.
        let names = module.exports.iter().map(|export| export.name.as_str());
        Ok(names.filter_map(|name| instance.get_export(&self.store, name)).collect())
    }
}

impl Contestant for Wasmi {
    fn name(&self) -> &'static str {
        "wasmi"
    }

    fn instantiate(&mut self, module: &Module) -> Ending {
        let (ending, exports) = match self.try_instantiate(module) {
            Ok(exports) => (Ending::Returned(Vec::new()), Some(exports)),
            Err(error) => (failure(&error), None),
        };
        self.instances.push(exports);
        ending
    }

    fn call(&mut self, at: Place, arguments: &[Argument]) -> Ending {
        let func = self.func(at);
        let ty = func.ty(&self.store);
        let params: Vec<Val> = arguments
            .iter()
            .zip(ty.params())
            .map(|(&argument, &ty)| self.val(argument, ty))
            .collect();
        let mut results: Vec<_> = ty.results().iter().map(|&ty| Val::default_for_ty(ty)).collect();
        match func.call(&mut self.store, &params, &mut results) {
            Ok(()) => Ending::Returned(results.iter().map(|val| self.value(val)).collect()),
            Err(error) => failure(&error),
        }
    }

    fn global(&mut self, at: Place) -> Value {
        let global = self.at(at).into_global().expect("the plan knows what it is");
        self.value(&global.get(&self.store))
    }

    fn set_global(&mut self, at: Place, value: Argument) {
        let global = self.at(at).into_global().expect("the plan knows what it is");
        let val = self.val(value, global.ty(&self.store).content());
        global.set(&mut self.store, val).expect("of its type, and mutable");
    }

    fn table(&mut self, at: Place) -> Vec<Value> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let elements = (0..table.size(&self.store)).filter_map(|i| table.get(&self.store, i));
        elements.map(|element| self.value(&reference(element))).collect()
    }

    fn grow_table(&mut self, at: Place, delta: u64) -> Option<u64> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let null = Ref::null(table.ty(&self.store).element());
        table.grow(&mut self.store, delta, null).ok()
    }

    fn memory(&mut self, at: Place) -> Vec<u8> {
        let memory = self.at(at).into_memory().expect("the plan knows what it is");
        memory.data(&self.store).to_vec()
    }

    fn grow_memory(&mut self, at: Place, delta: u64) -> Option<u64> {
        let memory = self.at(at).into_memory().expect("the plan knows what it is");
        memory.grow(&mut self.store, delta).ok()
    }

    fn write(&mut self, at: Place, offset: usize, bytes: &[u8]) -> bool {
        let memory = self.at(at).into_memory().expect("the plan knows what it is");
        memory.write(&mut self.store, offset, bytes).is_ok()
    }
}

fn define_host(engine: &Engine) -> Linker<()> {
    let mut linker = Linker::new(engine);
    let nesting = Arc::new(Nesting::default());
    for function in host::FUNCTIONS.iter().filter(|function| suit_wasmi(function.needs)) {
        let ty = FuncType::new(val_types(function.params), val_types(function.results));
        let nesting = Arc::clone(&nesting);
        let defined =
            linker.func_new(host::MODULE, function.name, ty, move |caller, arguments, results| {
                let values: Vec<_> = arguments.iter().map(|val| value(&caller, val)).collect();
                give(function.answer(&values), caller, &nesting, arguments, results)
            });
        defined.expect("each has a name of its own");
    }
    linker
}

/// Does what a host function answers.
fn give(
    answer: Answer,
    mut caller: Caller<'_, ()>,
    nesting: &Nesting,
    arguments: &[Val],
    results: &mut [Val],
) -> Result<(), Error> {
    match answer {
        Answer::Values(values) => {
            for (result, value) in results.iter_mut().zip(values) {
                *result = number(value);
            }
        }
        Answer::Reversed | Answer::Collected => {
            for (result, argument) in results.iter_mut().zip(arguments.iter().rev()) {
                *result = argument.clone();
            }
        }
        Answer::Called(argument) => {
            results[0] = Val::I32(0);
            let Some(Val::FuncRef(Nullable::Val(func))) = arguments.first() else { return Ok(()) };
            let ty = func.ty(&caller);
            let (params, returned) = host::CALLED;
            if ty.params() == val_types(params) && ty.results() == val_types(returned) {
                let call = || func.call(&mut caller, &[Val::I32(argument)], results);
                return nesting.within(call).map_err(Error::host)?;
            }
        }
        Answer::Failure => return Err(Error::host(Failure)),
        Answer::Thrown(_) => unreachable!("wasmi has no exceptions"),
    }
    Ok(())
}

fn val_types(types: &[host::Type]) -> Vec<ValType> {
    types.iter().map(|&ty| val_type(ty)).collect()
}

fn val_type(ty: host::Type) -> ValType {
    match ty {
        host::Type::I32 => ValType::I32,
        host::Type::I64 => ValType::I64,
        host::Type::F32 => ValType::F32,
        host::Type::F64 => ValType::F64,
        host::Type::V128 => ValType::V128,
        host::Type::Func => ValType::FuncRef,
        host::Type::Extern => ValType::ExternRef,
        host::Type::Any => unreachable!("wasmi has no such values"),
    }
}

fn number(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(F32::from_bits(bits)),
        Value::F64(bits) => Val::F64(F64::from_bits(bits)),
        Value::V128(bits) => Val::V128(V128::from(bits)),
        _ => Val::ExternRef(Nullable::Null),
    }
}

fn reference(reference: Ref) -> Val {
    match reference {
        Ref::Func(func) => Val::FuncRef(func),
        Ref::Extern(value) => Val::ExternRef(value),
    }
}

/// wasmi does not tell whether two references are to one function.
fn value(store: &impl AsContext, val: &Val) -> Value {
    match val {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(value) => Value::F32(value.to_bits()),
        Val::F64(value) => Value::F64(value.to_bits()),
        Val::V128(value) => Value::V128(value.as_u128()),
        Val::FuncRef(Nullable::Null) | Val::ExternRef(Nullable::Null) => Value::Null,
        Val::FuncRef(Nullable::Val(_)) => Value::Func(None),
        Val::ExternRef(Nullable::Val(value)) => {
            let number = value.data(store.as_context()).downcast_ref::<u32>();
            Value::Extern(*number.expect("all of the host's values are numbers"))
        }
    }
}

fn failure(error: &Error) -> Ending {
    if error.downcast_ref::<Failure>().is_some() {
        return Ending::HostError;
    }
    match error.as_trap_code() {
        Some(code) => Ending::Trapped(trap_kind(code), code.to_string()),
        None => match error.kind() {
            // An active segment, which others count as `table.init`.
            ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. }) => {
                Ending::Trapped(TrapKind::Table, error.to_string())
            }
            _ => Ending::Refused(error.to_string()),
        },
    }
}

fn trap_kind(code: TrapCode) -> TrapKind {
    match code {
        TrapCode::UnreachableCodeReached => TrapKind::Unreachable,
        TrapCode::MemoryOutOfBounds => TrapKind::Memory,
        TrapCode::TableOutOfBounds => TrapKind::Table,
        TrapCode::IndirectCallToNull => TrapKind::CallToNull,
        TrapCode::BadSignature => TrapKind::Signature,
        TrapCode::IntegerOverflow => TrapKind::Overflow,
        TrapCode::IntegerDivisionByZero => TrapKind::DivisionByZero,
        TrapCode::BadConversionToInteger => TrapKind::Conversion,
        TrapCode::StackOverflow => TrapKind::Stack,
        TrapCode::OutOfSystemMemory => TrapKind::OutOfMemory,
        _ => TrapKind::Other,
    }
}
