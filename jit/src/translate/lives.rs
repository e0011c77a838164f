//! How far values live in a function that is compiled plainly.
//!
//! The allocator that takes one pass goes through the blocks in their order, and looks in each at all values that are
//! made before it and used behind it. So a value costs as many steps as there are blocks between: few where locals are
//! in the frame, unless operands are left below many blocks, or are used only where the function ends, which is put
//! behind everything else.

use super::Result;
use crate::error::CompileError;
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Value, ValueDef};

/// Blocks that the values of a function may live through together, for each byte of its body and in any function.
const PER_BYTE: u64 = 64;
const ALWAYS: u64 = 1 << 24;

/// Refuses a function of so many bytes whose values live through too many blocks.
///
/// # Errors
///
/// [`CompileError::Codegen`].
pub(super) fn check(func: &Function, index: u32, bytes: u64) -> Result {
    let most = ALWAYS.max(PER_BYTE * bytes);
    // The product is small.
    if func.dfg.num_blocks() as u64 * func.dfg.num_values() as u64 <= most {
        return Ok(());
    }
    let lives = lives(func);
    if lives <= most {
        return Ok(());
    }
    let message =
        format!("its values live through {lives} blocks together, and the most is {most}");
    Err(CompileError::Codegen { func: index, message })
}

/// How many blocks all values live through together.
fn lives(func: &Function) -> u64 {
    let cfg = ControlFlowGraph::with_function(func);
    let tree = DominatorTree::with_function(func, &cfg);
    let mut places: SecondaryMap<Block, u64> = SecondaryMap::new();
    let mut ends: SecondaryMap<Value, u64> = SecondaryMap::new();
    for (place, &block) in tree.cfg_rpo().enumerate() {
        places[block] = place as u64;
        for inst in func.layout.block_insts(block) {
            for value in func.dfg.inst_values(inst) {
                ends[func.dfg.resolve_aliases(value)] = place as u64;
            }
        }
    }
    let life = |(value, &end): (Value, &u64)| {
        let start = match func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => func.layout.inst_block(inst),
            ValueDef::Param(block, _) => Some(block),
            _ => None,
        };
        start.map_or(0, |start| end.saturating_sub(places[start]))
    };
    ends.iter().map(life).sum()
}
