//! Wasmtime, with everything on that it has.

mod host;

use self::host::{define_host, val_of};
use super::Contestant;
use crate::host::Failure;
use crate::observe::{DEPTH, Ending, Object, TrapKind, Value};
use crate::plan::{Argument, Kind, Module, NanBits, Place, Plan};
use seqfault::Feature;
use std::ffi::c_void;
use wasmtime::{
    AsContextMut, Collector, Config, Engine, Error, Extern, ExternRef, Func, Linker, OptLevel, Ref,
    Result, Store, ThrownException, Trap, V128, Val, ValType,
};

/// A store of Wasmtime.
pub struct Wasmtime {
    store: Store<()>,
    linker: Linker<()>,
    instances: Vec<Option<Vec<Extern>>>,
    /// Exported functions that are no imports, and where they were exported.
    known: Vec<(*mut c_void, (usize, usize))>,
}

impl std::fmt::Debug for Wasmtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wasmtime")
    }
}

impl Wasmtime {
    /// A store of an engine that gives NaNs their bits if the plan wants engines to.
    ///
    /// # Errors
    ///
    /// When the engine cannot be made.
    pub fn new(plan: &Plan) -> Result<Wasmtime> {
        let mut config = config(plan.nans == NanBits::InEngines);
        // It asserts that only one memory of an instance has a fault, but shared ones may be
        // imported twice. Without signals nothing faults.
        config.signals_based_traps(!plan.features.contains(&Feature::Threads));
        let engine = Engine::new(&config)?;
        let mut store = Store::new(&engine, ());
        let linker = define_host(&mut store)?;
        Ok(Wasmtime { store, linker, instances: Vec::new(), known: Vec::new() })
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
            Argument::V128(bits) => Val::V128(V128::from(bits)),
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
            Argument::Null => Val::default_for_ty(ty).expect("it is nullable"),
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
        if error.is::<ThrownException>() {
            let thrown = self.store.take_pending_exception().expect("it was just thrown");
            let fields: Result<Vec<_>> =
                thrown.fields(&mut self.store).map(|fields| fields.collect());
            let fields = fields.expect("it is of this store");
            return Ending::Threw(fields.iter().map(|val| self.value(val)).collect());
        }
        if error.is::<Failure>() {
            return Ending::HostError;
        }
        match error.downcast_ref::<Trap>() {
            Some(trap) => Ending::Trapped(trap_kind(*trap), trap.to_string()),
            None if error.is::<wasmtime::GcHeapOutOfMemory<()>>() => {
                Ending::Trapped(TrapKind::OutOfMemory, error.to_string())
            }
            None => Ending::Refused(format!("{error:#}")),
        }
    }

    fn try_instantiate(&mut self, module: &Module) -> Result<Vec<Extern>> {
        let compiled = wasmtime::Module::new(self.store.engine(), &module.plain)?;
        let instance = self.linker.instantiate(&mut self.store, &compiled)?;
        // A second instance of a module offers nothing to others.
        let _ = self.linker.instance(&mut self.store, module.name, instance);
        let exports: Vec<_> =
            instance.exports(&mut self.store).map(|export| export.into_extern()).collect();
        Ok(exports)
    }
}

fn config(nan_canonicalization: bool) -> Config {
    let mut config = Config::new();
    config
        // Not what seqfault usually does, so that an error of the optimiser shows.
        .cranelift_opt_level(OptLevel::None)
        .cranelift_nan_canonicalization(nan_canonicalization)
        .parallel_compilation(false)
        .relaxed_simd_deterministic(true)
        .collector(Collector::DeferredReferenceCounting)
        .wasm_tail_call(true)
        .wasm_custom_page_sizes(true)
        .wasm_threads(true)
        .shared_memory(true)
        .wasm_reference_types(true)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_exceptions(true)
        .wasm_wide_arithmetic(true)
        .wasm_relaxed_simd(true)
        .wasm_multi_memory(true)
        .wasm_memory64(true)
        .wasm_extended_const(true);
    config
}

impl Contestant for Wasmtime {
    fn name(&self) -> &'static str {
        "wasmtime"
    }

    fn instantiate(&mut self, module: &Module) -> Ending {
        let number = self.instances.len();
        let (ending, exports) = match self.try_instantiate(module) {
            Ok(exports) => (Ending::Returned(Vec::new()), Some(exports)),
            Err(error) => (self.failure(&error), None),
        };
        for (i, export) in exports.iter().flatten().enumerate() {
            if let (Kind::Func { imported: false, .. }, Extern::Func(func)) =
                (&module.exports[i].kind, export)
            {
                self.known.push((func.to_raw(&mut self.store), (number, i)));
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
            .map(|(&argument, ty)| self.val(argument, &ty))
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
        let val = self.val(value, ty.content());
        global.set(&mut self.store, val).expect("of its type, and mutable");
    }

    fn table(&mut self, at: Place) -> Vec<Value> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let size = table.size(&self.store);
        let elements: Vec<_> = (0..size).filter_map(|i| table.get(&mut self.store, i)).collect();
        elements.into_iter().map(|element| self.value(&Val::from(element))).collect()
    }

    fn grow_table(&mut self, at: Place, delta: u64) -> Option<u64> {
        let table = self.at(at).into_table().expect("the plan knows what it is");
        let null = Ref::null(table.ty(&self.store).element().heap_type());
        table.grow(&mut self.store, delta, null).ok()
    }

    fn memory(&mut self, at: Place) -> Vec<u8> {
        match self.at(at) {
            Extern::Memory(memory) => memory.data(&self.store).to_vec(),
            Extern::SharedMemory(memory) => shared::read(&memory),
            _ => unreachable!("the plan knows what it is"),
        }
    }

    fn grow_memory(&mut self, at: Place, delta: u64) -> Option<u64> {
        match self.at(at) {
            Extern::Memory(memory) => memory.grow(&mut self.store, delta).ok(),
            Extern::SharedMemory(memory) => memory.grow(delta).ok(),
            _ => unreachable!("the plan knows what it is"),
        }
    }

    fn collect(&mut self) {
        self.store.gc(None).expect("there is memory for so few objects");
    }

    fn write(&mut self, at: Place, offset: usize, bytes: &[u8]) -> bool {
        match self.at(at) {
            Extern::Memory(memory) => memory.write(&mut self.store, offset, bytes).is_ok(),
            Extern::SharedMemory(memory) => shared::write(&memory, offset, bytes),
            _ => unreachable!("the plan knows what it is"),
        }
    }
}

/// Wasmtime hands out its shared memories as cells.
mod shared {
    #![allow(unsafe_code)]

    use wasmtime::SharedMemory;

    pub(super) fn read(memory: &SharedMemory) -> Vec<u8> {
        // SAFETY: a plan runs on one thread, and no guest is running.
        memory.data().iter().map(|cell| unsafe { *cell.get() }).collect()
    }

    pub(super) fn write(memory: &SharedMemory, offset: usize, bytes: &[u8]) -> bool {
        let cells = offset.checked_add(bytes.len()).and_then(|end| memory.data().get(offset..end));
        let Some(cells) = cells else { return false };
        for (cell, &byte) in cells.iter().zip(bytes) {
            // SAFETY: a plan runs on one thread, and no guest is running.
            unsafe { *cell.get() = byte };
        }
        true
    }
}

/// Where functions were exported: by instance and export.
type Known = [(*mut c_void, (usize, usize))];

fn value(store: &mut impl AsContextMut, known: &Known, val: &Val) -> Value {
    look(store, known, val, DEPTH).expect("a reference that was just handed out is of this store")
}

fn look(store: &mut impl AsContextMut, known: &Known, val: &Val, depth: u32) -> Result<Value> {
    let (object, inside): (_, Vec<Val>) = match val {
        Val::I32(value) => return Ok(Value::I32(*value)),
        Val::I64(value) => return Ok(Value::I64(*value)),
        Val::F32(bits) => return Ok(Value::F32(*bits)),
        Val::F64(bits) => return Ok(Value::F64(*bits)),
        Val::V128(bits) => return Ok(Value::V128(bits.as_u128())),
        Val::FuncRef(None)
        | Val::ExternRef(None)
        | Val::AnyRef(None)
        | Val::ExnRef(None)
        | Val::ContRef(None) => return Ok(Value::Null),
        Val::FuncRef(Some(func)) => {
            let raw = func.to_raw(store);
            let place = known.iter().find(|(other, _)| *other == raw);
            return Ok(Value::Func(place.map(|(_, place)| *place)));
        }
        Val::ExternRef(Some(value)) => {
            let data = value.data(store.as_context())?;
            let number = data.and_then(|data| data.downcast_ref::<u32>());
            return Ok(number.map_or(Value::Object(Object::Foreign), |n| Value::Extern(*n)));
        }
        Val::AnyRef(Some(value)) => {
            let mut store = store.as_context_mut();
            if let Some(i31) = value.as_i31(&mut store)? {
                return Ok(Value::I31(i31.get_i32()));
            } else if let Some(array) = value.as_array(&mut store)? {
                (Object::Array, array.elems(&mut store)?.collect())
            } else if let Some(object) = value.as_struct(&mut store)? {
                (Object::Struct, object.fields(&mut store)?.collect())
            } else {
                return Ok(Value::Object(Object::Foreign));
            }
        }
        Val::ExnRef(Some(exception)) => {
            (Object::Exception, exception.fields(store.as_context_mut())?.collect())
        }
        Val::ContRef(Some(_)) => return Ok(Value::Object(Object::Foreign)),
    };
    if depth == 0 {
        return Ok(Value::Object(object));
    }
    let values =
        inside.iter().map(|val| look(store, known, val, depth - 1)).collect::<Result<_>>()?;
    Ok(Value::Fields(object, values))
}

fn trap_kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::Memory,
        Trap::TableOutOfBounds => TrapKind::Table,
        Trap::IndirectCallToNull => TrapKind::CallToNull,
        Trap::BadSignature => TrapKind::Signature,
        Trap::IntegerOverflow => TrapKind::Overflow,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::BadConversionToInteger => TrapKind::Conversion,
        Trap::HeapMisaligned => TrapKind::Misaligned,
        Trap::AtomicWaitNonSharedMemory => TrapKind::UnsharedWait,
        Trap::NullReference => TrapKind::Null,
        Trap::ArrayOutOfBounds => TrapKind::Array,
        Trap::CastFailure => TrapKind::Cast,
        Trap::StackOverflow => TrapKind::Stack,
        Trap::AllocationTooLarge => TrapKind::OutOfMemory,
        _ => TrapKind::Other,
    }
}
