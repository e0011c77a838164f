//! A guest that needs each of the four signals: first touches, accesses out of bounds, `unreachable`, a division by zero.

use seqfault::{Config, Engine, Instance, Memory, Module, Store, TrapCode};

const TEXT: &str = r#"(module
    (memory (export "memory") 8192)
    (func (export "touch") (param i32) (result i32)
        (i32.store (local.get 0) (i32.add (local.get 0) (i32.const 7)))
        (i32.load (local.get 0)))
    (func (export "beyond") (param i32) (result i32) (i32.load offset=0x20000000 (local.get 0)))
    (func (export "unreachable") (param i32) (result i32) unreachable)
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0))))"#;

/// Bytes between touches: more than a fault ever brings.
const STRIDE: usize = 3 << 20;

pub(crate) struct Guest {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    next: usize,
}

impl Guest {
    /// An instance in a new store.
    pub(crate) fn new(engine: &Engine, module: &Module) -> seqfault::Result<Guest> {
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, module, &[])?;
        let memory = instance.get_memory(&mut store, "memory").expect("exported");
        Ok(Guest { store, instance, memory, next: 0 })
    }

    /// One first touch of the guest's, one of the host's.
    pub(crate) fn touch(&mut self) {
        let at = self.next;
        self.next += 2 * STRIDE;
        assert_eq!(self.call("touch", at as i32).unwrap(), at as i32 + 7);
        let mut word = [1; 4];
        self.memory.read(&self.store, at + STRIDE, &mut word).unwrap();
        assert_eq!(word, [0; 4]);
    }

    /// Traps of each signal; they are no first touches.
    pub(crate) fn trap(&mut self) {
        for (function, expected) in [
            ("beyond", TrapCode::MemoryOutOfBounds),
            ("unreachable", TrapCode::Unreachable),
            ("divide", TrapCode::IntegerDivisionByZero),
        ] {
            let error = self.call(function, 0).unwrap_err();
            assert_eq!(error.trap().map(|trap| trap.code()), Some(expected), "{function}: {error}");
        }
    }

    fn call(&mut self, function: &str, argument: i32) -> seqfault::Result<i32> {
        let function = self.instance.get_typed_func::<i32, i32>(&mut self.store, function)?;
        function.call(&mut self.store, argument)
    }
}

/// An engine and the guest's module, to make many guests of.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
}

impl Host {
    pub(crate) fn new(config: &Config) -> seqfault::Result<Host> {
        let engine = Engine::new(config)?;
        let module = Module::new(&engine, TEXT)?;
        Ok(Host { engine, module })
    }

    pub(crate) fn guest(&self) -> seqfault::Result<Guest> {
        Guest::new(&self.engine, &self.module)
    }

    /// Makes a guest that does all that it can.
    pub(crate) fn use_all(&self) -> Guest {
        let mut guest = self.guest().unwrap();
        guest.touch();
        guest.trap();
        guest.touch();
        guest
    }
}
