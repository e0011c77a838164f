//! seqfault, through its public API.

mod host;

use self::host::{define_host, val_of};
use super::Contestant;
use crate::host::Failure;
use crate::observe::{DEPTH, Ending, Object, TrapKind, Value};
use crate::plan::{Argument, Kind, Module, NanBits, Place, Plan};
use seqfault::{
    AsContextMut, Config, Engine, Error, Extern, ExternRef, Feature, Func, Instance, Linker,
    Result, Store, ThrownException, TrapCode, Val, ValType,
};

/// A store of seqfault.
pub struct Seqfault {
    store: Store<()>,
    linker: Linker<()>,
    instances: Vec<Option<Vec<Extern>>>,
    /// Exported functions that are no imports, and where they were exported.
    known: Vec<(Func, (usize, usize))>,
    /// Whether what is zeroed is given back.
    discards: bool,
}

impl std::fmt::Debug for Seqfault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seqfault")
    }
}

impl Seqfault {
    /// A store of an engine with the features and settings of a plan.
    ///
    /// # Errors
    ///
    /// When the engine refuses them.
    pub fn new(plan: &Plan) -> Result<Seqfault> {
        let mut config = Config::new();
        for &feature in seqfault::Feature::ALL {
            config.wasm_feature(feature, plan.features.contains(&feature));
        }
        config.cranelift_nan_canonicalization(plan.nans == NanBits::InEngines);
        config.relaxed_simd_deterministic(true);
        plan.settings.apply(&mut config);
        let engine = Engine::new(&config)?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1 << 40);
        let linker = define_host(&mut store, plan.features.contains(&Feature::Exceptions))?;
        let discards = plan.settings.discards;
        Ok(Seqfault { store, linker, instances: Vec::new(), known: Vec::new(), discards })
    }

    fn at(&self, at: Place) -> Extern {
        let instance =
            self.instances[at.instance].as_ref().expect("only those alive are asked for");
        instance[at.export].clone()
    }

    fn func(&self, at: Place) -> Func {
        self.at(at).into_func().expect("the plan knows what it is")
    }

    fn val(&mut self, argument: Argument, ty: &ValType) -> Val {
        match argument {
            Argument::I32(value) => Val::I32(value),
            Argument::I64(value) => Val::I64(value),
            Argument::F32(bits) => Val::F32(bits),
            Argument::F64(bits) => Val::F64(bits),
            Argument::V128(bits) => Val::V128(bits),
            Argument::Func(at) => Val::FuncRef(Some(self.func(at))),
            Argument::Extern(number) => {
                let value = ExternRef::new(&mut self.store, number);
                Val::ExternRef(Some(value.expect("room for a few")))
            }
            Argument::Object(at, number) => {
                let func = self.func(at);
                let mut made = [Val::AnyRef(None)];
                func.call(&mut self.store, &[Val::I32(number)], &mut made)
                    .expect("there is memory for so few objects");
                made[0]
            }
            Argument::I31(value) => val_of(&mut self.store, Value::I31(value)),
            Argument::Null => match ty {
                ValType::Ref(ty) => Val::null_ref(ty.heap_type()),
                _ => unreachable!("null is of a reference type"),
            },
        }
    }

    fn value(&mut self, val: &Val) -> Value {
        value(&mut self.store, &self.known, val)
    }

    fn ending(&mut self, result: Result<Vec<Val>>) -> Ending {
        match result {
            Ok(results) => Ending::Returned(results.iter().map(|val| self.value(val)).collect()),
            Err(error) => self.failure(&error),
        }
    }

    fn failure(&mut self, error: &Error) -> Ending {
        if let Some(thrown) = error.downcast_ref::<ThrownException>() {
            return Ending::Threw(thrown.fields().iter().map(|val| self.value(val)).collect());
        }
        if error.is::<Failure>() {
            return Ending::HostError;
        }
        match error.trap() {
            Some(trap) => Ending::Trapped(trap_kind(trap.code()), trap.to_string()),
            None => Ending::Refused(error.to_string()),
        }
    }

    fn try_instantiate(&mut self, module: &Module) -> Result<Vec<Extern>> {
        let compiled = seqfault::Module::new(self.store.engine(), &module.wasm)?;
        let instance: Instance = self.linker.instantiate(&mut self.store, &compiled)?;
        // A second instance of a module offers nothing to others.
        let _ = self.linker.instance(&mut self.store, module.name, instance);
        let exports = instance.exports(&mut self.store);
        Ok(exports.into_iter().map(|export| export.into_extern()).collect())
    }
}

impl Contestant for Seqfault {
    fn name(&self) -> &'static str {
        "seqfault"
    }

    fn instantiate(&mut self, module: &Module) -> Ending {
        let number = self.instances.len();
        let made = self.try_instantiate(module);
        let (ending, exports) = match made {
            Ok(exports) => (Ending::Returned(Vec::new()), Some(exports)),
            Err(error) => (self.failure(&error), None),
        };
        for (i, export) in exports.iter().flatten().enumerate() {
            if let (Kind::Func { imported: false, .. }, Extern::Func(func)) =
                (&module.exports[i].kind, export)
            {
                self.known.push((*func, (number, i)));
            }
        }
        self.instances.push(exports);
        ending
    }

    fn call(&mut self, at: Place, arguments: &[Argument]) -> Ending {
        let func = self.func(at);
        let ty = func.ty(&self.store);
        let params: Vec<Val> = arguments
            .iter()
            .zip(ty.params())
            .map(|(&argument, ty)| self.val(argument, ty))
            .collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        let called = func.call(&mut self.store, &params, &mut results).map(|()| results);
        self.ending(called)
    }

    fn global(&mut self, at: Place) -> Value {
        let global = self.at(at).into_global().expect("the plan knows what it is");
        let val = global.get(&mut self.store);
        self.value(&val)
    }

    fn set_global(&mut self, at: Place, value: Argument) {
        let global = self.at(at).into_global().expect("the plan knows what it is");
        let ty = global.ty(&self.store);
        let val = self.val(value, &ty.content);
        global.set(&mut self.store, val).expect("of its type, and mutable");
    }

    fn table(&mut self, at: Place) -> Vec<Value> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let size = table.size(&self.store);
        let elements: Vec<_> = (0..size).filter_map(|i| table.get(&mut self.store, i)).collect();
        elements.iter().map(|val| self.value(val)).collect()
    }

    fn grow_table(&mut self, at: Place, delta: u64) -> Option<u64> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let null = Val::null_ref(table.ty(&self.store).element.heap_type());
        table.grow(&mut self.store, delta, null).ok()
    }

    fn memory(&mut self, at: Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.at(at) {
            Extern::Memory(memory) => {
                bytes.resize(memory.data_size(&self.store), 0);
                memory.read(&self.store, 0, &mut bytes).expect("it is so large");
            }
            Extern::SharedMemory(memory) => {
                bytes.resize(memory.data_size(), 0);
                memory.read(0, &mut bytes).expect("it is so large");
            }
            _ => unreachable!("the plan knows what it is"),
        }
        bytes
    }

    fn grow_memory(&mut self, at: Place, delta: u64) -> Option<u64> {
        match self.at(at) {
            Extern::Memory(memory) => memory.grow(&mut self.store, delta).ok(),
            Extern::SharedMemory(memory) => memory.grow(delta).ok(),
            _ => unreachable!("the plan knows what it is"),
        }
    }

    fn write(&mut self, at: Place, offset: usize, bytes: &[u8]) -> bool {
        match self.at(at) {
            Extern::Memory(memory) => memory.write(&mut self.store, offset, bytes).is_ok(),
            Extern::SharedMemory(memory) => memory.write(offset, bytes).is_ok(),
            _ => unreachable!("the plan knows what it is"),
        }
    }

    fn collect(&mut self) {
        self.store.gc().expect("there is memory for so few objects");
    }

    fn zero(&mut self, at: Place, page: usize) -> bool {
        let range = page << 16..(page + 1) << 16;
        match self.at(at) {
            _ if !self.discards => self.write(at, page << 16, &[0; 1 << 16]),
            Extern::Memory(memory) => memory.discard(&mut self.store, range).is_ok(),
            Extern::SharedMemory(memory) => memory.discard(range).is_ok(),
            _ => unreachable!("the plan knows what it is"),
        }
    }
}

/// Where functions were exported: by instance and export.
type Known = [(Func, (usize, usize))];

fn value(store: &mut impl AsContextMut, known: &Known, val: &Val) -> Value {
    look(store, known, val, DEPTH).expect("a reference that was just handed out is of this store")
}

fn look(store: &mut impl AsContextMut, known: &Known, val: &Val, depth: u32) -> Result<Value> {
    let (object, inside) = match val {
        Val::I32(value) => return Ok(Value::I32(*value)),
        Val::I64(value) => return Ok(Value::I64(*value)),
        Val::F32(bits) => return Ok(Value::F32(*bits)),
        Val::F64(bits) => return Ok(Value::F64(*bits)),
        Val::V128(bits) => return Ok(Value::V128(*bits)),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => {
            return Ok(Value::Null);
        }
        Val::FuncRef(Some(func)) => {
            let place = known.iter().find(|(other, _)| other == func);
            return Ok(Value::Func(place.map(|(_, place)| *place)));
        }
        Val::ExternRef(Some(value)) => {
            let number = value.data(store)?.and_then(|data| data.downcast_ref::<u32>());
            return Ok(number.map_or(Value::Object(Object::Foreign), |n| Value::Extern(*n)));
        }
        Val::AnyRef(Some(value)) => {
            if let Some(i31) = value.as_i31(&*store)? {
                return Ok(Value::I31(i31.get_i32()));
            } else if let Some(array) = value.as_array(&*store)? {
                let mut elements = Vec::new();
                for index in 0..array.len(&*store)? {
                    elements.push(array.get(&mut *store, index)?);
                }
                (Object::Array, elements)
            } else if let Some(object) = value.as_struct(&*store)? {
                (Object::Struct, object.fields(&mut *store)?)
            } else {
                return Ok(Value::Object(Object::Foreign));
            }
        }
        Val::ExnRef(Some(exception)) => (Object::Exception, exception.fields(&mut *store)?),
    };
    if depth == 0 {
        return Ok(Value::Object(object));
    }
    let values =
        inside.iter().map(|val| look(store, known, val, depth - 1)).collect::<Result<_>>()?;
    Ok(Value::Fields(object, values))
}

fn trap_kind(code: TrapCode) -> TrapKind {
    match code {
        TrapCode::Unreachable => TrapKind::Unreachable,
        TrapCode::MemoryOutOfBounds => TrapKind::Memory,
        TrapCode::TableOutOfBounds | TrapCode::UndefinedElement => TrapKind::Table,
        TrapCode::IndirectCallToNull => TrapKind::CallToNull,
        TrapCode::BadSignature => TrapKind::Signature,
        TrapCode::IntegerOverflow => TrapKind::Overflow,
        TrapCode::IntegerDivisionByZero => TrapKind::DivisionByZero,
        TrapCode::BadConversionToInteger => TrapKind::Conversion,
        TrapCode::StackOverflow => TrapKind::Stack,
        TrapCode::OutOfMemory => TrapKind::OutOfMemory,
        TrapCode::NullReference
        | TrapCode::NullFunctionReference
        | TrapCode::NullException
        | TrapCode::NullStruct
        | TrapCode::NullArray
        | TrapCode::NullI31 => TrapKind::Null,
        TrapCode::ArrayOutOfBounds => TrapKind::Array,
        TrapCode::CastFailure => TrapKind::Cast,
        TrapCode::UnalignedAtomic => TrapKind::Misaligned,
        TrapCode::WaitOnUnsharedMemory => TrapKind::UnsharedWait,
        TrapCode::GcHeapOutOfMemory => TrapKind::OutOfMemory,
        _ => TrapKind::Other,
    }
}
