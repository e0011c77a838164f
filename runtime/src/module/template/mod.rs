//! [`Template`]: what all instances of a module start with. It is found when the module is made, so
//! that starting an instance does no work in proportion to it.

mod constants;
mod data;
mod elements;
mod placed;

use constants::Constants;
use data::InitialData;
use elements::InitialElements;
use seqfault_jit::module::ModuleInfo;

/// What all instances of a module start with.
pub(crate) struct Template {
    globals: Box<[u128]>,
    open_globals: Box<[u32]>,
    data: InitialData,
    elements: InitialElements,
}

impl Template {
    pub(super) fn new(info: &ModuleInfo) -> Template {
        let constants = Constants::new(info);
        let values = constants.globals();
        let (first, open) =
            (info.num_imported_globals as u32, |value: &Option<u128>| value.is_none());
        let open = (first..).zip(values).filter(|(_, value)| open(value));
        Template {
            globals: values.iter().map(|value| value.unwrap_or(0)).collect(),
            open_globals: open.map(|(global, _)| global).collect(),
            data: InitialData::new(info, &constants),
            elements: InitialElements::new(info, &constants),
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
}
