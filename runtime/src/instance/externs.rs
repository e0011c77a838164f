//! What instances import and export.

use crate::engine::Engine;
use crate::entities::{Global, Memory, SharedMemory, Table, Tag};
use crate::func::Func;
use crate::store::{AsContext, StoreOpaque};
use crate::types::ExternType;

/// Something that can be imported or exported.
#[derive(Clone, Debug)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A global.
    Global(Global),
    /// A table.
    Table(Table),
    /// A memory of one store.
    Memory(Memory),
    /// A memory that stores share.
    SharedMemory(SharedMemory),
    /// A tag.
    Tag(Tag),
}

impl Extern {
    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        match self {
            Extern::Func(func) => Some(func),
            _ => None,
        }
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        match self {
            Extern::Global(global) => Some(global),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        match self {
            Extern::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The memory, if it is a memory of one store.
    pub fn into_memory(self) -> Option<Memory> {
        match self {
            Extern::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The memory, if it is a shared memory.
    pub fn into_shared_memory(self) -> Option<SharedMemory> {
        match self {
            Extern::SharedMemory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The tag, if it is one.
    pub fn into_tag(self) -> Option<Tag> {
        match self {
            Extern::Tag(tag) => Some(tag),
            _ => None,
        }
    }

    /// Its type. For memories and tables, the minimum is the present size, which counts when they
    /// are imported.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        self.current_type(store.as_context().opaque())
    }

    pub(crate) fn current_type(&self, store: &StoreOpaque) -> ExternType {
        self.check(store);
        match self {
            Extern::Func(func) => ExternType::Func(func.func_type(store)),
            Extern::Global(global) => ExternType::Global(global.global_type(store)),
            Extern::Table(table) => ExternType::Table(store.table(table.index()).current_type()),
            Extern::Memory(memory) => {
                ExternType::Memory(store.memory(memory.index()).current_type())
            }
            Extern::SharedMemory(memory) => ExternType::Memory(memory.data().current_type()),
            Extern::Tag(tag) => ExternType::Tag(tag.tag_type(store)),
        }
    }

    /// # Panics
    ///
    /// When it cannot be used with `store`: it belongs to another one, or to another engine.
    #[track_caller]
    pub(crate) fn check(&self, store: &StoreOpaque) {
        store.check(match self {
            Extern::Func(func) => func.store(),
            Extern::Global(global) => global.store(),
            Extern::Table(table) => table.store(),
            Extern::Memory(memory) => memory.store(),
            Extern::Tag(tag) => tag.store(),
            Extern::SharedMemory(memory) => {
                let same = Engine::same(memory.engine(), store.engine());
                assert!(same, "shared memory used with another engine");
                return;
            }
        });
    }
}

impl From<Func> for Extern {
    fn from(func: Func) -> Extern {
        Extern::Func(func)
    }
}

impl From<Global> for Extern {
    fn from(global: Global) -> Extern {
        Extern::Global(global)
    }
}

impl From<Table> for Extern {
    fn from(table: Table) -> Extern {
        Extern::Table(table)
    }
}

impl From<SharedMemory> for Extern {
    fn from(memory: SharedMemory) -> Extern {
        Extern::SharedMemory(memory)
    }
}

impl From<Tag> for Extern {
    fn from(tag: Tag) -> Extern {
        Extern::Tag(tag)
    }
}

impl From<Memory> for Extern {
    fn from(memory: Memory) -> Extern {
        Extern::Memory(memory)
    }
}

/// One export of an instance.
#[derive(Clone, Debug)]
pub struct Export {
    name: String,
    value: Extern,
}

impl Export {
    pub(crate) fn new(name: &str, value: Extern) -> Export {
        Export { name: name.to_owned(), value }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn into_extern(self) -> Extern {
        self.value
    }
}
