//! Branches.

use super::Result;
use super::function::{FuncTranslator, read_error};
use crate::trap::TrapCode;
use cranelift_codegen::ir::{Block, BlockCall, InstBuilder, JumpTableData};
use std::collections::HashMap;
use wasmparser::BrTable;

impl FuncTranslator<'_, '_> {
    pub(super) fn unreachable(&mut self) -> Result {
        self.trap(TrapCode::Unreachable);
        self.dead = Some(0);
        Ok(())
    }

    pub(super) fn return_(&mut self) -> Result {
        self.return_values(self.frames[0].results.len())?;
        self.dead = Some(0);
        Ok(())
    }

    pub(super) fn br(&mut self, depth: u32) -> Result {
        self.jump_to(self.frames.len() - 1 - depth as usize)?;
        self.dead = Some(0);
        Ok(())
    }

    /// Ends the current block with a branch to a frame.
    pub(super) fn jump_to(&mut self, index: usize) -> Result {
        let (target, arity) = self.frame_target(index)?;
        let args = self.branch_args(arity)?;
        self.builder.ins().jump(target, &args);
        Ok(())
    }

    pub(super) fn br_if(&mut self, depth: u32) -> Result {
        let condition = self.stack.pop();
        let (target, arity) = self.branch_target(depth)?;
        let args = self.branch_args(arity)?;
        let next = self.builder.create_block();
        match self.branch_hint() {
            // Others may come to the target often: what is rare is the way there from here.
            Some(false) => {
                let edge = self.builder.create_block();
                self.set_cold(edge);
                self.builder.ins().brif(condition, edge, &[], next, &[]);
                self.enter_sealed(edge);
                self.builder.ins().jump(target, &args);
            }
            hint => {
                if hint == Some(true) {
                    self.set_cold(next);
                }
                self.builder.ins().brif(condition, target, &args, next, &[]);
            }
        }
        self.enter_sealed(next);
        Ok(())
    }

    /// Whether the operator's branch is usually taken, if the module says so.
    pub(super) fn branch_hint(&self) -> Option<bool> {
        self.env.branch_hint(self.builder.srcloc())
    }

    /// Gives the operands that a branch to `depth` passes the types that they have where paths
    /// meet, and tells how many they are. To be done before the paths part: what one of them makes
    /// of an operand, the others have not got.
    pub(super) fn settle_operands(&mut self, depth: u32) -> Result<usize> {
        let (_, arity) = self.branch_target(depth)?;
        self.canonicalize_top(arity);
        Ok(arity)
    }

    /// Branches with the newest operands, which are settled and stay for the other path that there
    /// is.
    pub(super) fn jump_to_label(&mut self, depth: u32) -> Result {
        let (target, arity) = self.branch_target(depth)?;
        let args = self.branch_args(arity)?;
        self.builder.ins().jump(target, &args);
        Ok(())
    }

    pub(super) fn br_on_null(&mut self, depth: u32) -> Result {
        let reference = self.stack.pop();
        let (target, arity) = self.branch_target(depth)?;
        let args = self.branch_args(arity)?;
        let next = self.builder.create_block();
        self.builder.ins().brif(reference, next, &[], target, &args);
        self.enter_sealed(next);
        self.stack.push(reference);
        Ok(())
    }

    pub(super) fn br_on_non_null(&mut self, depth: u32) -> Result {
        let reference = self.stack.top(1)[0];
        let (target, arity) = self.branch_target(depth)?;
        let args = self.branch_args(arity)?;
        let next = self.builder.create_block();
        self.builder.ins().brif(reference, target, &args, next, &[]);
        self.enter_sealed(next);
        self.stack.drop_top(1);
        Ok(())
    }

    pub(super) fn br_table(&mut self, targets: &BrTable<'_>) -> Result {
        let selector = self.stack.pop();
        let arity = self.settle_operands(targets.default())?;
        let mut edges = TableEdges { arity, blocks: HashMap::new() };
        let mut entries = Vec::with_capacity(targets.len() as usize);
        for target in targets.targets() {
            let block = self.table_edge(&mut edges, target.map_err(read_error)?)?;
            entries.push(self.block_call(block));
        }
        let default = self.table_edge(&mut edges, targets.default())?;
        let default = self.block_call(default);
        let table = self.builder.create_jump_table(JumpTableData::new(default, &entries));
        self.builder.ins().br_table(selector, table);
        if arity > 0 {
            self.fill_table_edges(edges)?;
        }
        self.dead = Some(0);
        Ok(())
    }

    /// The block to which a jump table leads for a branch to `depth`.
    ///
    /// A branch that passes values goes through a block of its own, one for each target and not
    /// for each entry, so that a long table does not list its values over and over.
    fn table_edge(&mut self, edges: &mut TableEdges, depth: u32) -> Result<Block> {
        if edges.arity == 0 {
            return Ok(self.branch_target(depth)?.0);
        }
        Ok(*edges.blocks.entry(depth).or_insert_with(|| self.builder.create_block()))
    }

    fn block_call(&mut self, block: Block) -> BlockCall {
        BlockCall::new(block, [], &mut self.builder.func.dfg.value_lists)
    }

    /// Has the blocks between a jump table and its targets pass on the newest operands.
    fn fill_table_edges(&mut self, edges: TableEdges) -> Result {
        // In a fixed order: the same body always becomes the same code.
        let mut blocks: Vec<(u32, Block)> = edges.blocks.into_iter().collect();
        blocks.sort_unstable();
        for (depth, edge) in blocks {
            self.enter_sealed(edge);
            let (target, arity) = self.branch_target(depth)?;
            let args = self.branch_args(arity)?;
            self.builder.ins().jump(target, &args);
        }
        Ok(())
    }
}

/// The blocks between a jump table and its targets, by depth.
struct TableEdges {
    arity: usize,
    blocks: HashMap<u32, Block>,
}
