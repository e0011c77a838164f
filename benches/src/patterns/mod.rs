//! Patterns of touches: [`Pattern`], the fixed list ([`fixed`]), others drawn by a seed ([`drawn`]), and what plays them on an engine ([`ours`], [`theirs`]).

mod drawn;
mod fixed;
mod pattern;
mod play;
mod trial;

pub use drawn::drawn;
pub use fixed::fixed;
pub use pattern::{PAGE, Pattern, Phase, Step, WASM_PAGE};
pub use play::{Play, ours, theirs};
pub use trial::Trial;
