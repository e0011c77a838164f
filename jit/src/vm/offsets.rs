//! The offsets of the arrays behind a `VMContext`, for one module.

use super::{VMContext, VMFuncRef, VMFunctionImport, VMGlobal, VMMemoryRef, VMTable, VMTag};
use crate::module::ModuleInfo;

/// Byte offsets from the start of a `VMContext`; they depend on the module's counts only.
#[derive(Clone, Debug)]
pub struct VMOffsets {
    function_imports: u32,
    memories: u32,
    tables: u32,
    tags: u32,
    imported_globals: u32,
    defined_globals: u32,
    dropped_data: u32,
    dropped_elements: u32,
    made: u32,
    func_refs: u32,
    size: u32,
    num_imported_globals: u32,
}

impl VMOffsets {
    /// The layout for `module`.
    pub fn new(module: &ModuleInfo) -> VMOffsets {
        let mut at = size_of::<VMContext>();
        let mut array = |count: usize, size: usize, align: usize| {
            at = at.next_multiple_of(align);
            let start = at;
            at += count * size;
            // wasmparser limits each kind to a million; func refs are the largest at 24 bytes.
            u32::try_from(start).expect("a context is smaller than 4 GiB")
        };
        let function_imports =
            array(module.num_imported_functions, size_of::<VMFunctionImport>(), 8);
        let memories = array(module.memories.len(), size_of::<VMMemoryRef>(), 8);
        let tables = array(module.tables.len(), size_of::<*mut VMTable>(), 8);
        let tags = array(module.tags.len(), size_of::<*const VMTag>(), 8);
        let imported_globals = array(module.num_imported_globals, size_of::<*mut VMGlobal>(), 8);
        let defined_globals =
            array(module.globals.len() - module.num_imported_globals, size_of::<VMGlobal>(), 16);
        let dropped_data = array(module.data.len().div_ceil(64), size_of::<u64>(), 8);
        let dropped_elements = array(module.elements.len().div_ceil(64), size_of::<u64>(), 8);
        let made = array(module.num_escaped_functions(), 1, 1);
        let func_refs = array(module.num_escaped_functions(), size_of::<VMFuncRef>(), 8);
        let size = array(0, 0, align_of::<VMContext>());
        VMOffsets {
            function_imports,
            memories,
            tables,
            tags,
            imported_globals,
            defined_globals,
            dropped_data,
            dropped_elements,
            made,
            func_refs,
            size,
            num_imported_globals: module.num_imported_globals as u32,
        }
    }

    /// Bytes of the whole context.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// Bytes from the start on that are zero before they are set. Function references, which are behind
    /// them, are not read before they are made.
    pub fn zeroed(&self) -> usize {
        self.func_refs as usize
    }

    /// The [`VMFunctionImport`] of an imported function.
    pub fn function_import(&self, func: u32) -> u32 {
        self.function_imports + func * size_of::<VMFunctionImport>() as u32
    }

    /// The [`VMMemoryRef`] of a memory.
    pub fn memory(&self, memory: u32) -> u32 {
        self.memories + memory * size_of::<VMMemoryRef>() as u32
    }

    /// The `*mut VMTable` of a table.
    pub fn table(&self, table: u32) -> u32 {
        self.tables + table * size_of::<*mut VMTable>() as u32
    }

    /// The `*const VMTag` of a tag.
    pub fn tag(&self, tag: u32) -> u32 {
        self.tags + tag * size_of::<*const VMTag>() as u32
    }

    /// The `*mut VMGlobal` of an imported global.
    pub fn imported_global(&self, global: u32) -> u32 {
        debug_assert!(global < self.num_imported_globals);
        self.imported_globals + global * size_of::<*mut VMGlobal>() as u32
    }

    /// The [`VMGlobal`] itself of a global that the module defines, by its global index.
    pub fn defined_global(&self, global: u32) -> u32 {
        let defined = global - self.num_imported_globals;
        self.defined_globals + defined * size_of::<VMGlobal>() as u32
    }

    /// The first of the defined globals.
    pub fn first_defined_global(&self) -> u32 {
        self.defined_globals
    }

    /// The `u64`s whose bits say which data segments were dropped, the first segment in the lowest bit of the first.
    pub fn dropped_data(&self) -> u32 {
        self.dropped_data
    }

    /// The same for element segments.
    pub fn dropped_elements(&self) -> u32 {
        self.dropped_elements
    }

    /// The byte that says whether the reference of an escaping function is made.
    pub fn made(&self, escaped: u32) -> u32 {
        self.made + escaped
    }

    /// The [`VMFuncRef`] of an escaping function, by its index in
    /// [`ModuleInfo::escaped_functions`].
    pub fn func_ref(&self, escaped: u32) -> u32 {
        self.func_refs + escaped * size_of::<VMFuncRef>() as u32
    }
}
