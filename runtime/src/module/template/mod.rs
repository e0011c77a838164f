//! [`Template`]: what all instances of a module start with. It is found when the module is made, so
//! that starting an instance does no work in proportion to it.

mod constants;
mod data;

use constants::Constants;
use data::InitialData;
use seqfault_jit::module::ModuleInfo;

/// What all instances of a module start with.
pub(crate) struct Template {
    data: InitialData,
}

impl Template {
    pub(super) fn new(info: &ModuleInfo) -> Template {
        let constants = Constants::new(info);
        Template { data: InitialData::new(info, &constants) }
    }

    /// The contents that its memories start with.
    pub(crate) fn data(&self) -> &InitialData {
        &self.data
    }
}
