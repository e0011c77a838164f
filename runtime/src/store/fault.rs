//! Describes an access of compiled code that has left a memory of the store.

use super::StoreOpaque;
use crate::module::Module;
use crate::trap::MemoryFault;
use seqfault_jit::vm::MemoryReach;

impl StoreOpaque {
    /// Describes a fault of code of `module` that accessed the region at `base`, at offset
    /// `offset`. `None` if no memory has that region.
    pub(crate) fn memory_fault(
        &self,
        base: usize,
        offset: u64,
        module: &Module,
    ) -> Option<MemoryFault> {
        let memory = self.memories.iter().position(|memory| memory.base().addr() == base)?;
        let data = &self.memories[memory];
        let end = MemoryReach::of(data.ty().memory64, &self.engine().config().tunables).end();
        Some(data.fault_at(self.index_in(module, memory), offset, end))
    }

    /// The index by which instances of `module` refer to a memory, if all that have it use the same
    /// index.
    fn index_in(&self, module: &Module, memory: usize) -> Option<u32> {
        let instances = self.instances.iter().filter(|instance| instance.module().is(module));
        let mut indices = instances.filter_map(|instance| instance.index_of_memory(memory));
        let index = indices.next()?;
        indices.all(|other| other == index).then_some(index)
    }
}
