//! [`Step`]: what is done with the instances of a plan, one after the other.

use super::Module;
use super::exports::Kind;
use super::modules::MAKE;
use super::rewrite::FUEL;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use wasmparser::{AbstractHeapType, GlobalType, HeapType, RefType, ValType};

/// An export of an instance, both by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which instance, in the order of their instantiation.
    pub instance: usize,
    /// Which of its exports.
    pub export: usize,
}

/// An argument of a call, or the new value of a global.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// `i32`.
    I32(i32),
    /// `i64`.
    I64(i64),
    /// `f32`, as bits.
    F32(u32),
    /// `f64`, as bits.
    F64(u64),
    /// `v128`.
    V128(u128),
    /// Null, of the type that is wanted.
    Null,
    /// One of the host's values.
    Extern(u32),
    /// An `i31`.
    I31(i32),
    /// An exported function.
    Func(Place),
    /// What this function of the provider makes of a number.
    Object(Place, i32),
}

/// A step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Instantiates a module. Instances are numbered from 0, those that fail included.
    Instantiate {
        /// Which module.
        module: usize,
    },
    /// Calls a function.
    Call {
        /// The function.
        at: Place,
        /// Its arguments.
        arguments: Vec<Argument>,
    },
    /// Reads a global.
    Global {
        /// The global.
        at: Place,
    },
    /// Changes a global.
    SetGlobal {
        /// The global.
        at: Place,
        /// Its new value.
        value: Argument,
    },
    /// Reads a whole table.
    Table {
        /// The table.
        at: Place,
    },
    /// Grows a table by null elements.
    GrowTable {
        /// The table.
        at: Place,
        /// By how many.
        delta: u64,
    },
    /// Reads a whole memory.
    Memory {
        /// The memory.
        at: Place,
    },
    /// Grows a memory.
    GrowMemory {
        /// The memory.
        at: Place,
        /// By how many pages of its own size.
        delta: u64,
    },
    /// Writes into a memory.
    Write {
        /// The memory.
        at: Place,
        /// Where.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// Collects garbage.
    Collect,
    /// Makes 64 KiB of a memory zero, if they are inside. seqfault may give them back.
    Zero {
        /// The memory.
        at: Place,
        /// Which 64 KiB.
        page: usize,
    },
}

impl Step {
    /// The instance that it is about, unless it makes one.
    pub fn instance(&self) -> Option<usize> {
        match self {
            Step::Instantiate { .. } | Step::Collect => None,
            Step::Call { at, .. }
            | Step::Global { at }
            | Step::SetGlobal { at, .. }
            | Step::Table { at }
            | Step::GrowTable { at, .. }
            | Step::Memory { at }
            | Step::GrowMemory { at, .. }
            | Step::Write { at, .. }
            | Step::Zero { at, .. } => Some(at.instance),
        }
    }
}

/// Writes the script for some modules.
pub(super) fn write(rng: &mut StdRng, modules: &[Module]) -> Vec<Step> {
    let mut writer = Writer { rng, modules, instances: Vec::new(), steps: Vec::new() };
    for module in 0..modules.len() {
        writer.instantiate(module);
        writer.act(1);
    }
    // The same module twice: what belongs to an instance must not be the module's.
    if writer.rng.random_bool(0.3) {
        writer.instantiate(1);
    }
    writer.act(2);
    writer.look_at_everything();
    writer.steps
}

struct Writer<'a> {
    rng: &'a mut StdRng,
    modules: &'a [Module],
    /// The module of each instance.
    instances: Vec<usize>,
    steps: Vec<Step>,
}

impl Writer<'_> {
    fn instantiate(&mut self, module: usize) {
        self.instances.push(module);
        self.steps.push(Step::Instantiate { module });
    }

    /// All exports of all instances.
    fn places(&self) -> Vec<(Place, Kind)> {
        let instances = self.instances.iter().enumerate();
        let places = instances.flat_map(|(instance, &module)| {
            let exports = self.modules[module].exports.iter().enumerate();
            exports.map(move |(export, e)| (Place { instance, export }, e.kind.clone()))
        });
        places.collect()
    }

    /// Calls every function of generated modules `times` times, with other things in between.
    fn act(&mut self, times: usize) {
        let places = self.places();
        for _ in 0..times {
            for (at, kind) in &places {
                if let Kind::Func { params, .. } = kind
                    && at.instance > 0
                {
                    self.call(*at, params);
                }
                if self.rng.random_bool(0.2) {
                    let (at, kind) =
                        places.choose(self.rng).expect("the provider's, at least").clone();
                    self.meddle(at, &kind);
                }
                if self.rng.random_bool(0.03) {
                    self.steps.push(Step::Collect);
                }
            }
        }
    }

    fn call(&mut self, at: Place, params: &[ValType]) {
        let Some(arguments) = params.iter().map(|&ty| self.argument(ty)).collect() else { return };
        self.refuel();
        self.steps.push(Step::Call { at, arguments });
    }

    /// Fills up the fuel of all instances: few runs need much, and those that loop use all of it.
    fn refuel(&mut self) {
        let amounts = [0, 3, 50, 500, 500, 500, 5_000];
        for (instance, &module) in self.instances.iter().enumerate() {
            let exports = &self.modules[module].exports;
            if let Some(export) = exports.iter().position(|export| export.name == FUEL) {
                let amount = *amounts.choose(self.rng).expect("there are some");
                let at = Place { instance, export };
                self.steps.push(Step::SetGlobal { at, value: Argument::I32(amount) });
            }
        }
    }

    /// Something that the host does to what guests share with it.
    fn meddle(&mut self, at: Place, kind: &Kind) {
        let step = match kind {
            Kind::Global(_) if self.is_fuel(at) => return,
            Kind::Global(ty) => match self.new_value(ty) {
                Some(value) if self.rng.random() => Step::SetGlobal { at, value },
                _ => Step::Global { at },
            },
            Kind::Table(ty) => {
                if self.rng.random() && ty.element_type.is_nullable() {
                    Step::GrowTable { at, delta: self.rng.random_range(0..8) }
                } else {
                    Step::Table { at }
                }
            }
            Kind::Memory(ty) => self.meddle_with_memory(at, ty.page_size_log2.unwrap_or(16)),
            Kind::Func { .. } | Kind::Tag => return,
        };
        self.steps.push(step);
    }

    fn is_fuel(&self, at: Place) -> bool {
        self.modules[self.instances[at.instance]].exports[at.export].name == FUEL
    }

    fn meddle_with_memory(&mut self, at: Place, page_size_log2: u32) -> Step {
        match self.rng.random_range(0..4) {
            0 => {
                let pages = self.rng.random_range(0..3_u64);
                let odd = self.rng.random_range(0..300_u64);
                let delta = if page_size_log2 == 16 { pages } else { (pages << 15) + odd };
                Step::GrowMemory { at, delta }
            }
            1 => Step::Zero { at, page: self.rng.random_range(0..3) },
            2 => {
                let bytes: [u8; 16] = self.rng.random();
                let len = self.rng.random_range(0..=16);
                let offset = self.rng.random_range(0..0x2_0000);
                Step::Write { at, offset, bytes: bytes[..len].to_vec() }
            }
            _ => Step::Memory { at },
        }
    }

    fn new_value(&mut self, ty: &GlobalType) -> Option<Argument> {
        if ty.mutable { self.argument(ty.content_type) } else { None }
    }

    fn look_at_everything(&mut self) {
        for (at, kind) in self.places() {
            self.steps.push(match kind {
                Kind::Global(_) => Step::Global { at },
                Kind::Table(_) => Step::Table { at },
                Kind::Memory(_) => Step::Memory { at },
                Kind::Func { .. } | Kind::Tag => continue,
            });
        }
    }

    /// A value of type `ty`, if the host can have one.
    fn argument(&mut self, ty: ValType) -> Option<Argument> {
        Some(match ty {
            ValType::I32 => Argument::I32(self.integer() as i32),
            ValType::I64 => Argument::I64(self.integer()),
            ValType::F32 => Argument::F32((self.float() as f32).to_bits()),
            ValType::F64 => Argument::F64(self.float().to_bits()),
            ValType::V128 => Argument::V128(
                u128::from(self.integer() as u64) << 64 | u128::from(self.integer() as u64),
            ),
            ValType::Ref(ty) if ty.is_nullable() && self.rng.random() => Argument::Null,
            ValType::Ref(ty) => match self.reference(ty) {
                None if ty.is_nullable() => Argument::Null,
                argument => return argument,
            },
        })
    }

    /// Something of type `ty` that is not null, if the host has it.
    fn reference(&mut self, ty: RefType) -> Option<Argument> {
        use AbstractHeapType as Heap;
        let HeapType::Abstract { shared: false, ty } = ty.heap_type() else { return None };
        match ty {
            Heap::Extern => Some(Argument::Extern(self.rng.random_range(0..4))),
            Heap::Func => self.function().map(Argument::Func),
            Heap::I31 => Some(self.i31()),
            Heap::Any | Heap::Eq if self.rng.random() => Some(self.i31()),
            Heap::Any | Heap::Eq => self.object(&[0, 1, 2, 3]),
            Heap::Struct => self.object(&[0, 1]),
            Heap::Array => self.object(&[2, 3]),
            _ => None,
        }
    }

    fn i31(&mut self) -> Argument {
        Argument::I31(self.integer() as i32 >> 1)
    }

    /// An object that the provider makes of a number whose lowest two bits are one of `kinds`.
    fn object(&mut self, kinds: &[i32]) -> Option<Argument> {
        let export = self.modules[0].exports.iter().position(|export| export.name == MAKE)?;
        let kind = kinds.choose(self.rng).expect("there are some");
        let number = self.rng.random_range(1..32) << 2 | kind;
        Some(Argument::Object(Place { instance: 0, export }, number))
    }

    /// A function of an instance that cannot have failed.
    fn function(&mut self) -> Option<Place> {
        let exports = self.modules[0].exports.iter().enumerate();
        let functions = exports.filter(|(_, export)| matches!(export.kind, Kind::Func { .. }));
        let functions: Vec<_> =
            functions.map(|(export, _)| Place { instance: 0, export }).collect();
        functions.choose(self.rng).copied()
    }

    /// Small numbers, which are good indices; the ends of the ranges; and others.
    fn integer(&mut self) -> i64 {
        const EDGES: [i64; 9] =
            [0, 1, -1, i32::MIN as i64, i32::MAX as i64, i64::MIN, i64::MAX, 0xffff, 0x1_0000];
        match self.rng.random_range(0..3) {
            0 => self.rng.random_range(0..40),
            1 => *EDGES.choose(self.rng).expect("there are some"),
            _ => self.rng.random(),
        }
    }

    /// No NaN but the usual one.
    fn float(&mut self) -> f64 {
        const EDGES: [f64; 8] =
            [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, 1e-40, 4e9];
        match self.rng.random_range(0..3) {
            0 => f64::from(self.rng.random_range(-40..40)),
            1 => *EDGES.choose(self.rng).expect("there are some"),
            _ => {
                let any = f64::from_bits(self.rng.random());
                if any.is_nan() { 0.5 } else { any }
            }
        }
    }
}
