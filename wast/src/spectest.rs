//! The host module `spectest`, which the scripts of the specification import.
//!
//! Its contents are given in the reference interpreter's documentation of scripts.

use seqfault::{
    AsContextMut, Global, GlobalType, Linker, Memory, MemoryType, Mutability, RefType, Result,
    SharedMemory, Table, TableType, Val, ValType,
};

/// Defines the module in `linker`, with what it holds in `store`.
pub(crate) fn define<T: 'static>(
    linker: &mut Linker<T>,
    mut store: impl AsContextMut<Data = T>,
) -> Result<()> {
    define_functions(linker)?;
    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6f64.to_bits())),
    ];
    for (name, ty, value) in globals {
        let global = Global::new(&mut store, GlobalType::new(ty, Mutability::Const), value)?;
        linker.define(&store, "spectest", name, global)?;
    }
    let tables = [
        ("table", TableType::new(RefType::FUNCREF, 10, Some(20))),
        ("table64", TableType::new64(RefType::FUNCREF, 10, Some(20))),
    ];
    for (name, ty) in tables {
        let table = Table::new(&mut store, ty, Val::FuncRef(None))?;
        linker.define(&store, "spectest", name, table)?;
    }
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(2)))?;
    linker.define(&store, "spectest", "memory", memory)?;
    let shared = SharedMemory::new(store.as_context().engine(), MemoryType::shared(1, 2))?;
    linker.define(&store, "spectest", "shared_memory", shared)?;
    Ok(())
}

/// In the reference interpreter the functions print their arguments. The assertions of a suite
/// already check everything, so here the functions print nothing.
fn define_functions<T: 'static>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_wrap("spectest", "print", || {})?;
    linker.func_wrap("spectest", "print_i32", |_: i32| {})?;
    linker.func_wrap("spectest", "print_i64", |_: i64| {})?;
    linker.func_wrap("spectest", "print_f32", |_: f32| {})?;
    linker.func_wrap("spectest", "print_f64", |_: f64| {})?;
    linker.func_wrap("spectest", "print_i32_f32", |_: i32, _: f32| {})?;
    linker.func_wrap("spectest", "print_f64_f64", |_: f64, _: f64| {})?;
    Ok(())
}
