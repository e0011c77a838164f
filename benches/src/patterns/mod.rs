//! Patterns of touches: [`Pattern`], the fixed list ([`fixed`]), and what plays them on an engine ([`ours`], [`theirs`]).

mod fixed;
mod pattern;
mod play;
mod trial;

pub use fixed::fixed;
pub use pattern::{PAGE, Pattern, Phase, Step, WASM_PAGE};
pub use play::{Play, ours, theirs};
pub use trial::Trial;
