//! [`Template`]: what all instances of a module start with. It is found when the module is made, so
//! that starting an instance does no work in proportion to it.

mod constants;
mod data;
mod elements;
mod placed;

use constants::Constants;
pub(crate) use data::InitialMemory;

use data::InitialData;
use elements::InitialElements;
use seqfault_jit::module::{ElementMode, ModuleInfo};

/// What all instances of a module start with.
pub(crate) struct Template {
    globals: Box<[u128]>,
    open_globals: Box<[u32]>,
    data: InitialData,
    elements: InitialElements,
    /// Whether an active element segment may not fit. Then functions of the instance are in tables of others before its
    /// memories have their data.
    elements_may_fail: bool,
}

impl Template {
    pub(super) fn new(info: &ModuleInfo) -> Template {
        let constants = Constants::new(info);
        let values = constants.globals();
        let (first, open) =
            (info.num_imported_globals as u32, |value: &Option<u128>| value.is_none());
        let open = (first..).zip(values).filter(|(_, value)| open(value));
        let elements = InitialElements::new(info, &constants);
        let is_active = |mode: &ElementMode| matches!(mode, ElementMode::Active { .. });
        let uncertain = &info.elements[elements.certain()..];
        Template {
            globals: values.iter().map(|value| value.unwrap_or(0)).collect(),
            open_globals: open.map(|(global, _)| global).collect(),
            data: InitialData::new(info, &constants),
            elements_may_fail: uncertain.iter().any(|segment| is_active(&segment.mode)),
            elements,
        }
    }

    /// The first values of the globals that the module defines, in the low bytes; zero where they are
    /// not the same in all instances.
    pub(crate) fn globals(&self) -> &[u128] {
        &self.globals
    }

    /// The globals whose first value is not the same in all instances, by their index.
    pub(crate) fn open_globals(&self) -> &[u32] {
        &self.open_globals
    }

    /// The contents that its memories start with.
    pub(crate) fn data(&self) -> &InitialData {
        &self.data
    }

    /// The contents that its tables start with.
    pub(crate) fn elements(&self) -> &InitialElements {
        &self.elements
    }

    /// What a memory of the module, by its number among the defined ones, can be made with: nothing sees it before.
    pub(super) fn memory<'a>(
        &'a self,
        info: &'a ModuleInfo,
        bytes: &'a [u8],
        defined: usize,
    ) -> Option<InitialMemory<'a>> {
        let possible = !self.elements_may_fail && self.data.is_in_image(defined);
        possible.then_some(InitialMemory { data: &self.data, info, bytes, defined })
    }

    /// The module is about to be dropped. Returns whether memories have started with its data.
    pub(super) fn retire(&mut self) -> bool {
        self.data.retire()
    }
}
