//! [`Webs`]: which values of a function are the same variable to the register allocator.
//!
//! Where a branch passes a value to a block's parameter, the allocator tries to give both the same place,
//! and so for whatever those are tied to. Such a web of values is allocated as one, again and again until it
//! fits: what that takes grows with the square of its size.

use cranelift_codegen::ir::{BlockArg, Function, Value};
use std::collections::HashMap;

/// The webs of a function.
pub(super) struct Webs {
    /// Values that branches pass to blocks.
    pub(super) passed: u64,
    /// The squares of how many each web passes, together.
    pub(super) squares: u64,
}

impl Webs {
    pub(super) fn of(func: &Function) -> Webs {
        let dfg = &func.dfg;
        let mut forest = Forest::default();
        for block in func.layout.blocks() {
            let Some(end) = func.layout.last_inst(block) else { continue };
            let calls = dfg.insts[end].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
            for call in calls {
                let params = dfg.block_params(call.block(&dfg.value_lists));
                for (arg, &param) in call.args(&dfg.value_lists).zip(params) {
                    if let BlockArg::Value(value) = arg {
                        forest.tie(dfg.resolve_aliases(value), param);
                    }
                }
            }
        }
        forest.webs()
    }
}

/// The webs as trees, each node with its parent and how many values its tree passes.
#[derive(Default)]
struct Forest {
    numbers: HashMap<Value, u32>,
    nodes: Vec<(u32, u64)>,
}

impl Forest {
    /// A branch passes one of these as the other.
    fn tie(&mut self, a: Value, b: Value) {
        let [a, b] = [a, b].map(|value| {
            let number = *self.numbers.entry(value).or_insert_with(|| {
                self.nodes.push((self.nodes.len() as u32, 0));
                self.nodes.len() as u32 - 1
            });
            self.root(number)
        });
        let (small, large) = if self.passes(a) < self.passes(b) { (a, b) } else { (b, a) };
        if small != large {
            self.nodes[small as usize].0 = large;
            self.nodes[large as usize].1 += self.passes(small);
        }
        self.nodes[large as usize].1 += 1;
    }

    fn passes(&self, root: u32) -> u64 {
        self.nodes[root as usize].1
    }

    /// The root of a node's tree; the way there is halved for the next time.
    fn root(&mut self, mut node: u32) -> u32 {
        loop {
            let parent = self.nodes[node as usize].0;
            if parent == node {
                return node;
            }
            let grandparent = self.nodes[parent as usize].0;
            self.nodes[node as usize].0 = grandparent;
            node = grandparent;
        }
    }

    fn webs(&self) -> Webs {
        let mut webs = Webs { passed: 0, squares: 0 };
        for (index, &(parent, passes)) in self.nodes.iter().enumerate() {
            if parent == index as u32 {
                webs.passed += passes;
                webs.squares = webs.squares.saturating_add(passes.saturating_mul(passes));
            }
        }
        webs
    }
}
