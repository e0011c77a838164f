//! Memories start with the data of their module, as an image that instances share or as a copy: the
//! difference is not to be seen.

use seqfault::{
    Config, Engine, Error, Extern, Feature, Global, GlobalType, Instance, Memory, MemoryType,
    Module, Mutability, PagerKind, RefType, Result, Store, Table, TableType, Trap, TrapCode, Val,
    ValType,
};

const PAGE: usize = 4096;

fn config(pager: PagerKind) -> Config {
    let mut config = Config::new();
    config.pager(pager);
    for feature in [Feature::MemoryControl, Feature::CustomPageSizes] {
        config.wasm_feature(feature, true);
    }
    config
}

/// Each pager, with and without a limit of resident bytes.
fn engines() -> impl Iterator<Item = Engine> {
    let pagers = [PagerKind::Auto, PagerKind::Protect, PagerKind::Eager, PagerKind::Demand];
    pagers
        .into_iter()
        .flat_map(|pager| [None, Some(64 << 20)].map(|limit| (pager, limit)))
        .filter_map(|(pager, limit)| {
            let mut config = config(pager);
            config.memory_resident_limit(limit);
            match (pager, limit) {
                // It cannot be limited.
                (PagerKind::Demand, Some(_)) => None,
                _ => Some(Engine::new(&config).unwrap()),
            }
        })
}

/// A module with `memory` and the body of `rest`, all of whose memory can be read and written.
fn module(engine: &Engine, memory: &str, rest: &str) -> Module {
    let text = format!(
        r#"(module (memory (export "memory") {memory}) {rest}
             (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
             (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
             (func (export "discard") (param i32 i32) (memory.discard (local.get 0) (local.get 1)))
             (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#
    );
    Module::new(engine, text).unwrap()
}

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module) -> Guest {
        Guest::with(module, |_| Vec::new()).unwrap()
    }

    fn with(module: &Module, imports: impl FnOnce(&mut Store<()>) -> Vec<Extern>) -> Result<Guest> {
        let mut store = Store::new(module.engine(), ());
        let imports = imports(&mut store);
        let instance = Instance::new(&mut store, module, &imports)?;
        Ok(Guest { store, instance })
    }

    fn load(&mut self, at: usize) -> Result<u8> {
        let load = self.instance.get_typed_func::<u32, u32>(&mut self.store, "load")?;
        Ok(load.call(&mut self.store, at as u32)? as u8)
    }

    fn store(&mut self, at: usize, value: u8) -> Result<()> {
        let store = self.instance.get_typed_func::<(u32, u32), ()>(&mut self.store, "store")?;
        store.call(&mut self.store, (at as u32, value.into()))
    }

    fn discard(&mut self, at: usize, len: usize) -> Result<()> {
        let discard = self.instance.get_typed_func::<(u32, u32), ()>(&mut self.store, "discard")?;
        discard.call(&mut self.store, (at as u32, len as u32))
    }

    fn grow(&mut self, pages: u32) -> u32 {
        let grow = self.instance.get_typed_func::<u32, u32>(&mut self.store, "grow").unwrap();
        grow.call(&mut self.store, pages).unwrap()
    }

    fn memory(&mut self) -> Memory {
        self.instance.get_memory(&mut self.store, "memory").unwrap()
    }

    /// The whole memory, as the host reads it.
    fn bytes(&mut self) -> Vec<u8> {
        let memory = self.memory();
        let mut bytes = vec![0xff; memory.data_size(&self.store)];
        memory.read(&self.store, 0, &mut bytes).unwrap();
        bytes
    }
}

/// A data segment of `len` bytes of `byte` at `at`.
fn data(at: usize, len: usize, byte: u8) -> String {
    format!(r#"(data (i32.const {at}) "{}")"#, format!("\\{byte:02x}").repeat(len))
}

fn code(error: &Error) -> Option<TrapCode> {
    error.trap().map(Trap::code)
}

fn is_out_of_bounds(error: &Error) -> bool {
    code(error) == Some(TrapCode::MemoryOutOfBounds)
}

#[test]
fn instances_do_not_see_what_others_write_to_their_data() {
    for engine in engines() {
        let module = module(&engine, "2", &data(100, 40_000, 7));
        let (mut one, mut other) = (Guest::new(&module), Guest::new(&module));
        let mut expected = vec![0; 2 << 16];
        expected[100..40_100].fill(7);
        for at in [100, 5000, 40_099] {
            one.store(at, 1).unwrap();
            other.memory().write(&mut other.store, at + PAGE / 2, &[2]).unwrap();
        }
        assert_eq!(one.load(5000 + PAGE / 2).unwrap(), 7);
        assert_eq!(Guest::new(&module).bytes(), expected);
        drop(one);
        for at in [100, 5000, 40_099] {
            expected[at + PAGE / 2] = 2;
        }
        assert_eq!(other.bytes(), expected);
    }
}

#[test]
fn discarded_data_reads_zero_and_does_not_come_back() {
    for engine in engines() {
        let module = module(&engine, "4", &data(0, 3 << 16, 5));
        let mut guest = Guest::new(&module);
        // Some pages have been touched, others not.
        guest.store(1 << 16, 9).unwrap();
        assert_eq!(guest.load((1 << 16) + PAGE).unwrap(), 5);
        guest.discard(1 << 16, 1 << 16).unwrap();
        let bytes = guest.bytes();
        assert!(bytes[..1 << 16].iter().all(|&byte| byte == 5));
        assert!(bytes[1 << 16..2 << 16].iter().all(|&byte| byte == 0));
        assert!(bytes[2 << 16..3 << 16].iter().all(|&byte| byte == 5));
        assert!(bytes[3 << 16..].iter().all(|&byte| byte == 0));
        guest.store(2 << 16, 8).unwrap();
        guest.discard(0, 4 << 16).unwrap();
        assert!(guest.bytes().iter().all(|&byte| byte == 0));
        assert!(Guest::new(&module).bytes()[..3 << 16].iter().all(|&byte| byte == 5));
    }
}

#[test]
fn data_that_fills_a_memory_ends_where_the_memory_does() {
    for engine in engines() {
        let module = module(&engine, "1 3", &data(0, 1 << 16, 3));
        let mut guest = Guest::new(&module);
        assert_eq!(guest.load((1 << 16) - 1).unwrap(), 3);
        assert!(is_out_of_bounds(&guest.load(1 << 16).unwrap_err()));
        assert!(is_out_of_bounds(&guest.store(1 << 16, 1).unwrap_err()));
        assert_eq!(guest.grow(2), 1);
        assert_eq!(guest.load((1 << 16) - 1).unwrap(), 3);
        assert_eq!(guest.load(1 << 16).unwrap(), 0);
        guest.store((3 << 16) - 1, 1).unwrap();
        assert!(is_out_of_bounds(&guest.load(3 << 16).unwrap_err()));
        assert_eq!(guest.grow(1), u32::MAX);
        guest.discard(0, 3 << 16).unwrap();
        assert!(guest.bytes().iter().all(|&byte| byte == 0));
    }
}

#[test]
fn overlapping_segments_are_applied_in_order() {
    for engine in engines() {
        // The last one, whose place is not known before, is copied over the others.
        let segments = [
            "(import \"host\" \"at\" (global $at i32))".to_owned(),
            "(global $constant i32 (i32.add (i32.const 1000) (i32.const 24)))".to_owned(),
        ];
        let text = format!(
            r#"(module {} (memory (export "memory") 2)
                 {} {} (data (global.get $constant) "abc") (data (i32.const 1026) "xyz")
                 (data (global.get $at) "12") {})"#,
            segments.concat(),
            data(500, 10_000, 1),
            data(5000, 8000, 2),
            data(1027, 1, 3),
        );
        let module = Module::new(&engine, text).unwrap();
        let mut guest = Guest::with(&module, |store| {
            let ty = GlobalType::new(ValType::I32, Mutability::Const);
            vec![Global::new(store, ty, Val::I32(1027)).unwrap().into()]
        })
        .unwrap();
        let mut expected = vec![0; 2 << 16];
        expected[500..10_500].fill(1);
        expected[5000..13_000].fill(2);
        expected[1024..1029].copy_from_slice(b"abxyz");
        expected[1027..1029].copy_from_slice(b"12");
        expected[1027] = 3;
        assert_eq!(guest.bytes(), expected);
    }
}

#[test]
fn segments_before_one_that_does_not_fit_stay_written() {
    for engine in engines() {
        // The memory is imported, so what was written can be seen.
        let text = r#"(module (import "host" "memory" (memory 1))
            (data (i32.const 10) "first") (data (i32.const 65534) "second") (data (i32.const 0) "x"))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(1, None)).unwrap();
        let error = Instance::new(&mut store, &module, &[memory.into()]).unwrap_err();
        assert!(is_out_of_bounds(&error));
        let mut bytes = vec![0xff; 1 << 16];
        memory.read(&store, 0, &mut bytes).unwrap();
        assert_eq!(&bytes[10..15], b"first");
        assert_eq!((bytes[0], bytes[65_534]), (0, 0));

        // The memory is the instance's own, and a function that it has left behind sees it.
        let text = r#"(module (import "host" "table" (table 1 funcref)) (memory 1)
            (elem (i32.const 0) $load)
            (func $load (param i32) (result i32) (i32.load8_u (local.get 0)))
            (data (i32.const 10) "first") (data (i32.const 65534) "second") (data (i32.const 0) "x"))"#;
        let module = Module::new(&engine, text).unwrap();
        let ty = TableType::new(RefType::FUNCREF, 1, None);
        let null = Val::FuncRef(None);
        let table = Table::new(&mut store, ty, null).unwrap();
        let error = Instance::new(&mut store, &module, &[table.into()]).unwrap_err();
        assert!(is_out_of_bounds(&error));
        let Val::FuncRef(Some(load)) = table.get(&mut store, 0).unwrap() else {
            panic!("the element was set");
        };
        let load = load.typed::<u32, u32>(&store).unwrap();
        for (at, byte) in [(10, b'f'), (14, b't'), (65_534, 0), (0, 0)] {
            assert_eq!(load.call(&mut store, at).unwrap(), byte.into());
        }
    }
}

#[test]
fn active_segments_are_empty_afterwards_and_passive_ones_are_not() {
    for engine in engines() {
        let text = r#"(module (memory (export "memory") 1)
            (data (i32.const 0) "active") (data $passive "passive") (data (i32.const 8) "more")
            (func (export "active") (param i32) (memory.init 0 (i32.const 20) (i32.const 0) (local.get 0)))
            (func (export "passive") (memory.init $passive (i32.const 20) (i32.const 0) (i32.const 7)))
            (func (export "last") (param i32) (memory.init 2 (i32.const 20) (i32.const 0) (local.get 0)))
            (func (export "drop") (data.drop 0) (data.drop $passive) (data.drop 2)))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut guest = Guest::new(&module);
        let store = &mut guest.store;
        for name in ["active", "last"] {
            let init = guest.instance.get_typed_func::<u32, ()>(&mut *store, name).unwrap();
            init.call(&mut *store, 0).unwrap();
            assert!(is_out_of_bounds(&init.call(&mut *store, 1).unwrap_err()));
        }
        let passive = guest.instance.get_typed_func::<(), ()>(&mut *store, "passive").unwrap();
        passive.call(&mut *store, ()).unwrap();
        let drop = guest.instance.get_typed_func::<(), ()>(&mut *store, "drop").unwrap();
        drop.call(&mut *store, ()).unwrap();
        assert!(is_out_of_bounds(&passive.call(&mut *store, ()).unwrap_err()));
        assert_eq!(&guest.bytes()[..28], b"active\0\0more\0\0\0\0\0\0\0\0passive\0");
    }
}

#[test]
fn every_kind_of_memory_starts_with_its_data() {
    for engine in engines() {
        let text = r#"(module
                 (import "host" "memory" (memory 1))
                 (memory $wide (export "wide") i64 2)
                 (memory $shared (export "shared") 1 2 shared)
                 (memory $fine (export "fine") 5000 9000 (pagesize 1))
                 (memory $empty (export "empty") 0)
                 (data (memory $wide) (i64.const 70000) "wide")
                 (data (memory $fine) (i32.const 4990) "ten bytes!")
                 (data (memory $shared) (i32.const 65530) "shared")
                 (data (memory $empty) (i32.const 0) "")
                 (data (memory $wide) (i64.const 3) "more")
                 (data (memory 0) (i32.const 0) "host")
                 (data (memory $fine) (i32.const 1) "late"))"#;
        let module = Module::new(&engine, text).unwrap();
        let mut imported = None;
        let mut guest = Guest::with(&module, |store| {
            let memory = Memory::new(store, MemoryType::new(1, None)).unwrap();
            imported = Some(memory);
            vec![memory.into()]
        })
        .unwrap();
        let store = &mut guest.store;
        let host = imported.unwrap();
        let wide = guest.instance.get_memory(&mut *store, "wide").unwrap();
        let fine = guest.instance.get_memory(&mut *store, "fine").unwrap();
        let read = |memory: Memory, at: usize, len: usize| {
            let mut bytes = vec![0xff; len];
            memory.read(&*store, at, &mut bytes).unwrap();
            bytes
        };
        assert_eq!(read(host, 0, 5), b"host\0");
        assert_eq!(
            (read(wide, 69_999, 6), read(wide, 2, 6)),
            (b"\0wide\0".into(), b"\0more\0".into())
        );
        assert_eq!(
            (read(fine, 4989, 11), read(fine, 0, 6)),
            (b"\0ten bytes!".into(), b"\0late\0".into())
        );
        assert_eq!(fine.grow(&mut *store, 4000).unwrap(), 5000);
        assert_eq!(fine.data_size(&*store), 9000);
        let mut rest = vec![0xff; 4000];
        fine.read(&*store, 5000, &mut rest).unwrap();
        assert!(rest.iter().all(|&byte| byte == 0));
        let shared = guest.instance.get_shared_memory(&mut *store, "shared").unwrap();
        let mut bytes = [0xff; 7];
        shared.read(65_529, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0shared");
    }
}

#[test]
fn a_resident_limit_below_the_size_of_the_data_holds() {
    // A limit below the size of the data: what is touched counts, and no more than the limit is.
    for pager in [PagerKind::Auto, PagerKind::Protect] {
        let mut config = config(pager);
        config.memory_resident_limit(Some(16 * PAGE));
        let engine = Engine::new(&config).unwrap();
        let module = module(&engine, "4", &data(0, 4 << 16, 5));
        let mut guest = Guest::new(&module);
        let touched = (0..64).take_while(|page| guest.store(page * PAGE, 1).is_ok()).count();
        assert_eq!(touched, 16);
        let error = guest.load(63 * PAGE).unwrap_err();
        assert_eq!(code(&error), Some(TrapCode::ResidentLimit));
        assert!(guest.memory().resident(&guest.store) <= 16 * PAGE);
        guest.discard(0, 1 << 16).unwrap();
        assert_eq!(guest.load(63 * PAGE).unwrap(), 5);
    }
}
