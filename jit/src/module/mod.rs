//! A module as plain data: what its sections declare, without its code.

pub(crate) mod convert;
mod hints;
mod info;
mod malformed;
mod names;
mod needs;
mod parse;
mod types;

pub use hints::BranchHints;
pub use info::{
    ConstExpr, ConstOp, DataMode, DataSegment, ElementItems, ElementMode, ElementSegment,
    EntityIndex, EntityType, Export, Import, ModuleInfo, TableInfo,
};
pub use names::function_names;
pub(crate) use parse::function_body;
pub use parse::{BodyValidation, InvalidBody, ParsedModule, ValidationScratch, parse};
pub use types::ModuleTypes;
