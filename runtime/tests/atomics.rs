//! Atomic accesses: what they compute in every width, that they are atomic, and how they trap.

use seqfault::{
    Engine, Instance, Memory, MemoryType, Module, Result, SharedMemory, Store, TrapCode,
};
use std::thread;

const MEMORY: MemoryKind = MemoryKind { text: "1 1" };
const SHARED: MemoryKind = MemoryKind { text: "1 1 shared" };

#[derive(Clone, Copy)]
struct MemoryKind {
    text: &'static str,
}

/// A type of values and the width of an access.
#[derive(Clone, Copy, Debug)]
struct Width {
    ty: &'static str,
    bits: u32,
}

const WIDTHS: [Width; 7] = [
    Width { ty: "i32", bits: 8 },
    Width { ty: "i32", bits: 16 },
    Width { ty: "i32", bits: 32 },
    Width { ty: "i64", bits: 8 },
    Width { ty: "i64", bits: 16 },
    Width { ty: "i64", bits: 32 },
    Width { ty: "i64", bits: 64 },
];

/// What an operation leaves, of the old value and its operand.
type Oracle = fn(u64, u64) -> u64;

const OPERATIONS: [(&str, Oracle); 6] = [
    ("add", u64::wrapping_add),
    ("sub", u64::wrapping_sub),
    ("and", |a, b| a & b),
    ("or", |a, b| a | b),
    ("xor", |a, b| a ^ b),
    ("xchg", |_, b| b),
];

impl Width {
    fn is_full(self) -> bool {
        self.ty == format!("i{}", self.bits)
    }

    fn bytes(self) -> u64 {
        u64::from(self.bits) / 8
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// `8` for narrow accesses, nothing for full ones.
    fn infix(self) -> String {
        if self.is_full() { String::new() } else { self.bits.to_string() }
    }

    fn suffix(self) -> &'static str {
        if self.is_full() { "" } else { "_u" }
    }

    /// A function that takes and gives 64 bits, whatever the type: its name is the operation.
    fn function(self, name: &str, operator: &str, operands: usize, returns: bool) -> String {
        let (to, from) = match self.ty {
            "i32" => ("i32.wrap_i64", "i64.extend_i32_u"),
            _ => ("", ""),
        };
        let params: Vec<String> = (1..=operands).map(|n| format!("local.get {n} {to}")).collect();
        format!(
            "(func (export \"{name}\") (param i32 {}) {} local.get 0 {} {operator} {})",
            "i64 ".repeat(operands),
            if returns { "(result i64)" } else { "" },
            params.join(" "),
            if returns { from } else { "" },
        )
    }

    /// All operations of this width.
    fn module(self, memory: MemoryKind) -> String {
        let (ty, infix, suffix) = (self.ty, self.infix(), self.suffix());
        let mut text = format!("(module (memory (export \"memory\") {})", memory.text);
        text += &self.function("load", &format!("{ty}.atomic.load{infix}{suffix}"), 0, true);
        text += &self.function("store", &format!("{ty}.atomic.store{infix}"), 1, false);
        for (name, _) in OPERATIONS {
            let operator = format!("{ty}.atomic.rmw{infix}.{name}{suffix}");
            text += &self.function(name, &operator, 1, true);
            // Code is another where nobody wants the old value.
            let forgets = format!("{operator} drop");
            text += &self.function(&format!("{name} and forget"), &forgets, 1, false);
        }
        let cmpxchg = format!("{ty}.atomic.rmw{infix}.cmpxchg{suffix}");
        text += &self.function("cmpxchg", &cmpxchg, 2, true);
        text + ")"
    }
}

/// The memory of a guest, of either kind.
enum Bytes {
    Own(Memory),
    Shared(SharedMemory),
}

struct Guest {
    store: Store<()>,
    instance: Instance,
    bytes: Bytes,
}

impl Guest {
    fn new(engine: &Engine, text: &str) -> Result<Guest> {
        let module = Module::new(engine, text)?;
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let bytes = match instance.get_memory(&mut store, "memory") {
            Some(memory) => Bytes::Own(memory),
            None => Bytes::Shared(instance.get_shared_memory(&mut store, "memory").unwrap()),
        };
        Ok(Guest { store, instance, bytes })
    }

    fn set(&mut self, value: u64) {
        let bytes = value.to_le_bytes();
        match &self.bytes {
            Bytes::Own(memory) => memory.write(&mut self.store, 8, &bytes).unwrap(),
            Bytes::Shared(memory) => memory.write(8, &bytes).unwrap(),
        }
    }

    fn get(&mut self) -> u64 {
        let mut bytes = [0; 8];
        match &self.bytes {
            Bytes::Own(memory) => memory.read(&self.store, 8, &mut bytes).unwrap(),
            Bytes::Shared(memory) => memory.read(8, &mut bytes).unwrap(),
        }
        u64::from_le_bytes(bytes)
    }

    fn call(&mut self, name: &str, at: u64, operands: &[u64]) -> Result<Option<u64>> {
        use seqfault::Val;
        let func = self.instance.get_func(&mut self.store, name).expect("it is exported");
        let mut params = vec![Val::I32(at as i32)];
        params.extend(operands.iter().map(|&operand| Val::I64(operand as i64)));
        let mut results = vec![Val::I64(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &params, &mut results)?;
        Ok(results.first().map(|result| match result {
            Val::I64(value) => *value as u64,
            other => panic!("{other:?}"),
        }))
    }
}

const VALUES: [u64; 5] = [0, 1, u64::MAX, 0x8180_7fff_8000_7f80, 0x0123_4567_89ab_cdef];

#[test]
fn every_operation_computes_what_it_should_in_every_width() -> Result<()> {
    let engine = Engine::default();
    for width in WIDTHS {
        for memory in [MEMORY, SHARED] {
            let mut guest = Guest::new(&engine, &width.module(memory))?;
            let mask = width.mask();
            for before in VALUES {
                for operand in VALUES {
                    let outside = before & !mask;
                    for (name, oracle) in OPERATIONS {
                        let after = outside | oracle(before & mask, operand & mask) & mask;
                        guest.set(before);
                        let old = guest.call(name, 8, &[operand])?;
                        assert_eq!(old, Some(before & mask), "{name} {width:?}");
                        assert_eq!(guest.get(), after, "{name} {width:?}");
                        guest.set(before);
                        guest.call(&format!("{name} and forget"), 8, &[operand])?;
                        assert_eq!(guest.get(), after, "{name} {width:?}");
                    }
                    guest.set(before);
                    assert_eq!(guest.call("load", 8, &[])?, Some(before & mask), "{width:?}");
                    guest.call("store", 8, &[operand])?;
                    assert_eq!(guest.get(), outside | operand & mask, "{width:?}");
                    for expected in [before, operand] {
                        guest.set(before);
                        let old = guest.call("cmpxchg", 8, &[expected, operand])?;
                        assert_eq!(old, Some(before & mask), "{width:?}");
                        let equal = before & mask == expected & mask;
                        let after = if equal { outside | operand & mask } else { before };
                        assert_eq!(guest.get(), after, "{width:?}");
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn unaligned_and_outside_are_traps_of_their_own() -> Result<()> {
    let engine = Engine::default();
    const END: u64 = 64 << 10;
    for width in WIDTHS {
        for memory in [MEMORY, SHARED] {
            let mut guest = Guest::new(&engine, &width.module(memory))?;
            let mut calls =
                vec![("load".to_owned(), 0), ("store".into(), 1), ("cmpxchg".into(), 2)];
            for (name, _) in OPERATIONS {
                calls.extend([(name.to_owned(), 1), (format!("{name} and forget"), 1)]);
            }
            for (name, operands) in calls {
                let operands = &VALUES[..operands];
                let mut code = |at| match guest.call(&name, at, operands) {
                    Ok(_) => None,
                    Err(error) => Some(error.trap().expect("a trap").code()),
                };
                for at in 1..width.bytes() {
                    assert_eq!(code(8 + at), Some(TrapCode::UnalignedAtomic), "{name} {width:?}");
                    let outside = END + 8 + at;
                    assert_eq!(code(outside), Some(TrapCode::UnalignedAtomic), "{name} {width:?}");
                }
                assert_eq!(code(END - width.bytes()), None, "{name} {width:?}");
                for outside in [END, END + 8, 0xffff_fff8] {
                    let found = code(outside);
                    assert_eq!(found, Some(TrapCode::MemoryOutOfBounds), "{name} {width:?}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn offsets_count_for_alignment_and_bounds() -> Result<()> {
    let mut guest = Guest::new(
        &Engine::default(),
        r#"(module (memory (export "memory") 1 1 shared)
            (func (export "odd") (param i32) (result i64)
              (i64.atomic.load offset=3 (local.get 0)))
            (func (export "far") (param i32) (result i64)
              (i64.atomic.load offset=0xfffffff0 (local.get 0)))
            (func (export "fence") (param i32) (result i64)
              (i64.store (i32.const 8) (i64.const 6)) (atomic.fence)
              (i64.load (local.get 0))))"#,
    )?;
    guest.set(77);
    assert_eq!(guest.call("odd", 5, &[])?, Some(77));
    let mut code = |name, at| guest.call(name, at, &[]).unwrap_err().trap().unwrap().code();
    assert_eq!(code("odd", 8), TrapCode::UnalignedAtomic);
    assert_eq!(code("far", 8), TrapCode::MemoryOutOfBounds);
    assert_eq!(code("far", 16), TrapCode::MemoryOutOfBounds);
    assert_eq!(code("far", 17), TrapCode::UnalignedAtomic);
    assert_eq!(guest.call("fence", 8, &[])?, Some(6));
    Ok(())
}

/// Works on the memory `env::memory`, in the middle of whose first words others write as well.
fn counter(width: Width) -> String {
    let (ty, infix, suffix) = (width.ty, width.infix(), width.suffix());
    format!(
        r#"(module (import "env" "memory" (memory 1 1 shared))
            (func (export "count") (param $at i32) (param $times i32) (local $old {ty})
              (loop $again
                (drop ({ty}.atomic.rmw{infix}.add{suffix} (local.get $at) ({ty}.const 3)))
                ({ty}.atomic.rmw{infix}.sub{suffix} (local.get $at) ({ty}.const 1)) (drop)
                (loop $retry
                  (local.set $old ({ty}.atomic.load{infix}{suffix} (local.get $at)))
                  (br_if $retry ({ty}.ne (local.get $old)
                    ({ty}.atomic.rmw{infix}.cmpxchg{suffix} (local.get $at) (local.get $old)
                      ({ty}.add (local.get $old) ({ty}.const 1))))))
                (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))"#
    )
}

#[test]
fn no_update_is_lost_between_threads_also_beside_each_other() -> Result<()> {
    const TIMES: u64 = 20_000;
    let engine = Engine::default();
    for width in WIDTHS {
        let module = Module::new(&engine, counter(width))?;
        let memory = SharedMemory::new(&engine, MemoryType::shared(1, 1))?;
        thread::scope(|scope| {
            // Two threads a place, and two places beside each other.
            for place in [0, 1, 0, 1] {
                let (module, memory) = (&module, &memory);
                scope.spawn(move || {
                    let mut store = Store::new(module.engine(), ());
                    let imports = [memory.clone().into()];
                    let instance = Instance::new(&mut store, module, &imports).unwrap();
                    let count = instance.get_typed_func::<(i32, i32), ()>(&mut store, "count");
                    let at = place * width.bytes() as i32;
                    count.unwrap().call(&mut store, (at, TIMES as i32)).unwrap();
                });
            }
        });
        for place in 0..2 {
            let mut bytes = [0; 8];
            let at = (place * width.bytes()) as usize;
            memory.read(at, &mut bytes[..width.bytes() as usize])?;
            let expected = (2 * 3 * TIMES) & width.mask();
            assert_eq!(u64::from_le_bytes(bytes), expected, "{width:?}");
        }
    }
    Ok(())
}
