//! A module as plain data: what its sections declare, without its code.

mod info;
mod parse;

pub use info::{
    ConstExpr, ConstOp, DataMode, DataSegment, ElementItems, ElementMode, ElementSegment, EntityIndex,
    EntityType, Export, Import, ModuleInfo, TableInfo,
};
pub use parse::{BodyValidation, ParsedModule, parse};
